// What tch 0.24 does not bind: which libtorch was loaded, the numeric policy and autocast.
// ci/setup compiles this file together with tch's own C++ half into .libtorch/lib/libtch.so. Every function
// is plain C and lets no exception out: PROTECT (torch_api.h) keeps the message for get_and_reset_last_err.

#include "torch_api.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <caffe2/core/common.h>

extern "C" {

// The build settings of the library that was loaded; names its version as TORCH_VERSION=2.11.0. Not at::show_config():
// that also asks for CUDA, and libtorch asks once, so that a CUDA half which is opened later would never be seen.
const char *wdpipe_torch_config() {
  PROTECT({
    static const std::string text = [] {
      std::string all;
      for (const auto &[name, value] : caffe2::GetBuildOptions()) all += name + "=" + value + ", ";
      return all;
    }();
    return text.c_str();
  })
  return "";
}

// The instruction set that libtorch's own kernels use, such as AVX2.
const char *wdpipe_torch_cpu_capability() {
  PROTECT(static const std::string text = at::get_cpu_capability(); return text.c_str();)
  return "";
}

// Settings of the whole process. libtorch refuses strict mode without CUBLAS_WORKSPACE_CONFIG, which is set before it
// is opened (policy/variables.rs).
void wdpipe_torch_set_policy(bool tf32, bool strict) {
  PROTECT({
    at::Context &context = at::globalContext();
    context.setDeterministicAlgorithms(strict, /*warn_only=*/false);
    context.setDeterministicFillUninitializedMemory(false);
    context.setDeterministicCuDNN(strict);
    context.setBenchmarkCuDNN(!strict);
    const auto products = tf32 ? at::Float32Precision::TF32 : at::Float32Precision::IEEE;
    for (const auto op : {at::Float32Op::MATMUL, at::Float32Op::CONV, at::Float32Op::RNN}) {
      context.setFloat32Precision(at::Float32Backend::CUDA, op, products);
      context.setFloat32Precision(at::Float32Backend::MKLDNN, op, at::Float32Precision::IEEE);
    }
    context.setAllowFP16ReductionCuBLAS(false);
    context.setAllowBF16ReductionCuBLAS(false);
    context.setAllowFP16AccumulationCuBLAS(false);
  })
}

// Whether libtorch knows its CUDA half; that needs no device. Asked before it is opened, the answer is no for good.
bool wdpipe_torch_sees_cuda() {
  PROTECT(return at::detail::getCUDAHooks().hasCUDART();)
  return false;
}

// Settings of the calling thread: OpenMP and MKL keep the number of threads, and the processor its handling of
// denormal numbers, per thread.
void wdpipe_torch_enter_thread() {
  PROTECT({
    at::set_num_threads(1);
    at::Context::setFlushDenormal(false);
  })
}

// What is in force, read back: 1 strict mode, 2 deterministic cuDNN, 4 no cuDNN benchmark, 8 IEEE products and
// 16 IEEE convolutions of float32 on CUDA, 32 one thread.
int wdpipe_torch_policy() {
  PROTECT({
    at::Context &context = at::globalContext();
    const auto ieee = [&](at::Float32Op op) {
      return context.float32Precision(at::Float32Backend::CUDA, op) != at::Float32Precision::TF32;
    };
    return (context.deterministicAlgorithms() && !context.deterministicAlgorithmsWarnOnly() ? 1 : 0) |
           (context.deterministicCuDNN() ? 2 : 0) | (context.benchmarkCuDNN() ? 0 : 4) |
           (ieee(at::Float32Op::MATMUL) ? 8 : 0) | (ieee(at::Float32Op::CONV) ? 16 : 0) |
           (at::get_num_threads() == 1 ? 32 : 0);
  })
  return 0;
}

// Turns autocast to float16 or bfloat16 on for the calling thread; returns whether it was on already.
bool wdpipe_torch_autocast_enter(bool cuda, bool half) {
  PROTECT({
    const auto device = cuda ? at::kCUDA : at::kCPU;
    const bool before = at::autocast::is_autocast_enabled(device);
    at::autocast::set_autocast_dtype(device, half ? at::kHalf : at::kBFloat16);
    at::autocast::set_autocast_enabled(device, true);
    at::autocast::increment_nesting();
    return before;
  })
  return false;
}

// Undoes one autocast_enter. The outermost drops the cached copies of the weights, which the next
// step changes.
void wdpipe_torch_autocast_leave(bool cuda, bool before) {
  PROTECT({
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(cuda ? at::kCUDA : at::kCPU, before);
  })
}

// torch_api.cpp calls these back into Rust to read and write streams of PyTorch's own file format. The program
// has no use for that format; answering "failed" leaves the library without undefined symbols.
bool tch_write_stream_destructor(void *) { return false; }
bool tch_write_stream_write(void *, const uint8_t *, size_t, size_t *) { return false; }
bool tch_read_stream_destructor(void *) { return false; }
bool tch_read_stream_stream_position(void *, uint64_t *) { return false; }
bool tch_read_stream_seek_start(void *, uint64_t, uint64_t *) { return false; }
bool tch_read_stream_seek_end(void *, int64_t, uint64_t *) { return false; }
bool tch_read_stream_read(void *, uint8_t *, size_t, size_t *) { return false; }
}
