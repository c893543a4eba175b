// What must not compile: each MISUSE_... is one mistake, compiled by a test of its own that looks for the
// compiler's complaint. Without any, the file compiles.
#include <utility>

#include "net/offload.h"
#include "net/task.h"
#include "net/task_group.h"

namespace layover::net {

Task<int> give_one();
Task<int> give_one() { co_return 1; }

Task<int> await_once();
Task<int> await_once() {
  auto task = give_one();
#ifdef MISUSE_AWAIT_LVALUE
  const int value = co_await task;
#else
  const int value = co_await std::move(task);
#endif
  co_return value;
}

void use(TaskGroup& group);
void use(TaskGroup& group) {
  auto task = await_once();
#ifdef MISUSE_COPY
  auto copy = task;
#endif
#ifdef MISUSE_COPY_ASSIGN
  auto other = give_one();
  other = task;
#endif
#ifdef MISUSE_DROP_RESULT
  give_one();
#endif
#ifdef MISUSE_SPAWN_VALUE
  // A result that nobody would see.
  group.spawn(std::move(task));
#endif
#ifdef MISUSE_SPAWN_LVALUE
  auto nothing = []() -> Task<void> { co_return; }();
  group.spawn(nothing);
#endif
  (void)group;
}

Task<void> offload_nothing();
Task<void> offload_nothing() {
#ifdef MISUSE_OFFLOAD_VOID
  // A job without a result cannot tell whether it worked.
  co_await offload(Work::kDisk, [] {});
#else
  const int value = co_await offload(Work::kDisk, [] { return 1; });
  (void)value;
#endif
}

#ifdef MISUSE_RETURN_OTHER_TYPE
struct Unrelated {};
Task<int> give_other();
Task<int> give_other() { co_return Unrelated{}; }
#endif

}  // namespace layover::net
