// OpenSSL's base64.
#include "upstream/basic.h"

#include <openssl/evp.h>

#include <fmt/format.h>

namespace layover::upstream {

std::string basic_authorization(std::string_view username, std::string_view password) {
  const std::string text = fmt::format("{}:{}", username, password);
  std::string encoded(4 * ((text.size() + 2) / 3) + 1, '\0');
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(encoded.data()),
                      reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  encoded.resize(static_cast<std::size_t>(length));
  return "Basic " + encoded;
}

}  // namespace layover::upstream
