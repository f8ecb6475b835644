// What needs CUDA and tch 0.24 does not bind: a stream for each thread, steps captured as graphs, free memory.
// ci/setup compiles this file against CUDA's headers alone into .libtorch/lib/libwdpipe_cuda.so, which is opened after
// libtorch's CUDA half and takes its functions from there. Every function is plain C and lets no exception out: it
// returns whether all went well, and wdpipe_gpu_error says what did not.

#include <exception>
#include <memory>
#include <string>

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAStream.h>

namespace {

thread_local std::string failure;

template <typename Action> bool protect(Action &&action) {
  try {
    action();
    return true;
  } catch (const std::exception &error) {
    failure = error.what();
  } catch (...) {
    failure = "an exception without a message";
  }
  return false;
}

} // namespace

extern "C" {

// What went wrong last in the calling thread.
const char *wdpipe_gpu_error() { return failure.c_str(); }

// Gives the calling thread a stream of the device's pool: what other threads do on theirs goes on at the same time, and
// only work outside the default stream can be captured.
bool wdpipe_gpu_own_stream(int device) {
  return protect([&] {
    const auto stream = c10::cuda::getStreamFromPool(/*isHighPriority=*/false, static_cast<c10::DeviceIndex>(device));
    c10::cuda::setCurrentCUDAStream(stream);
  });
}

// Begins to record what the calling thread's stream is given, instead of doing it. Other threads go on as they like.
bool wdpipe_gpu_capture_begin(void **graph) {
  return protect([&] {
    auto made = std::make_unique<at::cuda::CUDAGraph>();
    made->capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    *graph = made.release();
  });
}

// Ends the record; also one that failed must be ended.
bool wdpipe_gpu_capture_end(void *graph) {
  return protect([&] { static_cast<at::cuda::CUDAGraph *>(graph)->capture_end(); });
}

// Gives the calling thread's stream what was recorded.
bool wdpipe_gpu_replay(void *graph) {
  return protect([&] { static_cast<at::cuda::CUDAGraph *>(graph)->replay(); });
}

// Frees a graph and the memory that it works in.
bool wdpipe_gpu_free(void *graph) {
  return protect([&] { delete static_cast<at::cuda::CUDAGraph *>(graph); });
}

// Bytes of the device that are free, and all of them.
bool wdpipe_gpu_memory(int device, size_t *free, size_t *total) {
  return protect([&] {
    const auto [unused, all] = c10::cuda::CUDACachingAllocator::get()->getMemoryInfo(static_cast<c10::DeviceIndex>(device));
    *free = unused;
    *total = all;
  });
}
}
