// What needs CUDA and tch 0.24 does not bind: a stream for each thread, steps captured as graphs, quick copies
// to the host, free memory.
// ci/setup compiles this file against CUDA's headers alone into .libtorch/lib/libwdpipe_cuda.so, which is opened after
// libtorch's CUDA half and takes its functions from there. Every function is plain C and lets no exception out: it
// returns whether all went well, and wdpipe_gpu_error says what did not.

#include <cstdint>
#include <exception>
#include <memory>
#include <string>

#include <ATen/core/CachingHostAllocator.h>
#include <ATen/core/Tensor.h>
#include <ATen/cuda/CUDAGraph.h>
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
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

// A graph, and the memory that it works in.
struct Recording {
  at::cuda::CUDAGraph graph;
  c10::MempoolId_t pool = at::cuda::graph_pool_handle();
  c10::DeviceIndex device = c10::cuda::current_device();
};

// A recording that CUDA refuses ends before libtorch has told its allocators so, which would then take themselves to be
// recording for good. What has ended already says so by an exception.
void abandon(const Recording &recording) {
  try {
    c10::cuda::CUDACachingAllocator::endAllocateToPool(recording.device, recording.pool);
    at::getHostAllocator(at::kCUDA)->end_allocate_to_pool(recording.pool);
    c10::cuda::CUDACachingAllocator::releasePool(recording.device, recording.pool);
  } catch (...) {
  }
}

} // namespace

// libtorch enters graphs in a list of its generator of random numbers, without a lock: of begin to end, and of free, the
// caller lets one at a time be done in the process.
extern "C" {

// What went wrong last in the calling thread.
const char *wdpipe_gpu_error() { return failure.c_str(); }

// Gives the calling thread a stream of the device's pool: what other threads do on theirs goes on at the same time, and
// only work outside the default stream can be captured.
bool wdpipe_gpu_own_stream(int device) {
  return protect([&] {
    const auto index = static_cast<c10::DeviceIndex>(device);
    c10::cuda::set_device(index);
    c10::cuda::setCurrentCUDAStream(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, index));
  });
}

// Begins to record what the calling thread's stream is given, instead of doing it. Other threads go on as they like.
bool wdpipe_gpu_capture_begin(void **recording) {
  return protect([&] {
    auto made = std::make_unique<Recording>();
    try {
      made->graph.capture_begin(made->pool, cudaStreamCaptureModeThreadLocal);
    } catch (...) {
      abandon(*made);
      throw;
    }
    *recording = made.release();
  });
}

// Ends the record; also one that failed must be ended.
bool wdpipe_gpu_capture_end(void *recording) {
  auto *ended = static_cast<Recording *>(recording);
  return protect([&] {
    try {
      ended->graph.capture_end();
    } catch (...) {
      abandon(*ended);
      throw;
    }
  });
}

// Gives the calling thread's stream what was recorded.
bool wdpipe_gpu_replay(void *recording) {
  return protect([&] { static_cast<Recording *>(recording)->graph.replay(); });
}

// Frees a recording and the memory that it works in, which other recordings never take.
bool wdpipe_gpu_free(void *recording) {
  return protect([&] {
    std::unique_ptr<Recording> ended(static_cast<Recording *>(recording));
    const auto pool = ended->pool;
    ended.reset();
    c10::cuda::CUDACachingAllocator::emptyCache(pool);
  });
}

// A copy on the host of a device's tensor, in memory that the device writes to by itself, several times as fast as to
// other; libtorch keeps it for the next.
bool wdpipe_gpu_to_host(const void *tensor, void **copy) {
  return protect([&] {
    const auto &from = *static_cast<const at::Tensor *>(tensor);
    auto to = at::empty(from.sizes(), from.options().device(at::kCPU).pinned_memory(true));
    to.copy_(from);
    *copy = new at::Tensor(std::move(to));
  });
}

// How often the device has refused memory: what libtorch keeps for later was freed then, or there was none. Of several that
// compute at a time all count.
bool wdpipe_gpu_refusals(int device, uint64_t *count) {
  return protect([&] {
    const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(static_cast<c10::DeviceIndex>(device));
    *count = static_cast<uint64_t>(stats.num_alloc_retries) + static_cast<uint64_t>(stats.num_ooms);
  });
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
