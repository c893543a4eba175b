// Keys of tags, and what concerns a tag in all its variants.
#include "proxy/tag_table.h"

#include <functional>
#include <utility>

namespace layover::proxy {

std::size_t TagKeyHash::operator()(const TagKey& key) const noexcept {
  const std::hash<std::string> hash;
  std::size_t mixed = hash(key.scope.repository.str());
  mixed = mixed * 31 + hash(key.tag.str());
  mixed = mixed * 31 + hash(key.scope.registry.str());
  return mixed * 31 + key.variant.bits();
}

void TagTable::keep(const TagKey& key, TagAnswer answer, std::chrono::milliseconds of_use) {
  answer.bytes.reset();
  answers_.put(key, std::move(answer), Deadline::after(of_use));
}

void TagTable::forget_variants(TagKey key) {
  for (unsigned bits = 0; bits <= UINT8_MAX; ++bits) {
    key.variant = oci::AcceptVariant::from_bits(static_cast<std::uint8_t>(bits));
    forget(key);
  }
}

}  // namespace layover::proxy
