// The classes' queues. A pool thread that has taken up a class runs jobs of that class until its queue
// is empty; at most `bound` threads do so at once.
#include "net/offload.h"

#include <uv.h>

#include <array>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <string>

namespace layover::net {

namespace {

struct WorkClass {
  explicit WorkClass(unsigned threads) : bound(threads) {}

  unsigned bound;
  unsigned running = 0;
  std::deque<Mailbox::Message> queue;
};

std::mutex classes_mutex;
// In the order of Work. The index has one writer; two names whose servers are silent leave two threads to all
// others.
std::array<WorkClass, kWorkClasses> classes{WorkClass(2), WorkClass(4), WorkClass(4),
                                            WorkClass(1), WorkClass(4), WorkClass(2)};

WorkClass& class_of(Work work) { return classes[static_cast<std::size_t>(work)]; }

struct Runner {
  uv_work_t request{};
  Work work;
};

void run_class(uv_work_t* request) {
  WorkClass& work_class = class_of(static_cast<Runner*>(request->data)->work);
  for (;;) {
    Mailbox::Message job;
    {
      const std::lock_guard lock(classes_mutex);
      if (work_class.queue.empty()) {
        --work_class.running;
        return;
      }
      job = std::move(work_class.queue.front());
      work_class.queue.pop_front();
    }
    job();
  }
}

void on_runner_end(uv_work_t* request, int /*status*/) { delete static_cast<Runner*>(request->data); }

}  // namespace

void configure_offload(unsigned compute_threads) {
  unsigned threads = 0;
  {
    const std::lock_guard lock(classes_mutex);
    class_of(Work::kCompute).bound = compute_threads;
    for (const WorkClass& work_class : classes) threads += work_class.bound;
  }
  setenv("UV_THREADPOOL_SIZE", std::to_string(threads).c_str(), 1);
}

void detail::submit_job(Loop& loop, Work work, Mailbox::Message job) {
  {
    const std::lock_guard lock(classes_mutex);
    WorkClass& work_class = class_of(work);
    work_class.queue.push_back(std::move(job));
    if (work_class.running == work_class.bound) return;
    ++work_class.running;
  }
  auto* runner = new Runner{.work = work};  // freed by on_runner_end
  runner->request.data = runner;
  uv_queue_work(loop.uv(), &runner->request, &run_class, &on_runner_end);
}

void offload_detached(Work work, Mailbox::Message job) {
  Loop& loop = *Loop::current();
  loop.job_started();
  detail::submit_job(loop, work, [job = std::move(job), mailbox = loop.mailbox()]() mutable {
    std::exchange(job, nullptr)();
    mailbox->post([] { Loop::current()->job_finished(); });
  });
}

}  // namespace layover::net
