// Where content is read: one repository of one registry. The unit to which access is granted.
#pragma once

#include <compare>
#include <string>

#include "oci/reference.h"
#include "oci/registry_name.h"

namespace layover::cache {

struct Scope {
  oci::RegistryName registry;
  oci::RepositoryName repository;

  std::string to_string() const { return registry.str() + "/" + repository.str(); }
  friend auto operator<=>(const Scope&, const Scope&) = default;
};

}  // namespace layover::cache
