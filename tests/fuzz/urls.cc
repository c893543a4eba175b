// URLs, as the configuration, a Location and a token realm give them: what is accepted is fit for a Host
// header and a request line, is read as it was written, and is never told in full by a message.
#include <algorithm>
#include <array>
#include <string>

#include "base/ascii.h"
#include "net/url.h"
#include "tests/fuzz/fuzz.h"

namespace layover::fuzz {
namespace {

using namespace net;

bool has_dot_segment(std::string_view target) {
  std::string_view path = target.substr(0, target.find('?'));
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view segment = path.substr(0, end);
    if (segment == "." || segment == "..") return true;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return false;
}

void check_url(const Url& url) {
  require(!url.host.empty() && url.port != 0, "a URL has a host and a port");
  require(std::ranges::all_of(url.host, is_visible), "a host is visible ASCII");
  require(url.host.find_first_of("/@?#%\\[]") == std::string::npos, "a host holds no separator");
  require(url.target.starts_with('/') && !url.target.contains('#'), "a target begins with / and has no #");
  require(std::ranges::all_of(url.target, is_visible), "a target is visible ASCII");
  const auto again = Url::parse(url.to_string());
  require(again && *again == url, "a URL is read as it was written");
  require(!url.without_query().contains('?'), "a URL without its query has none");
}

void check_error(const Error& error) {
  require(error.message().find_first_of("?@#") == std::string::npos,
          "a message tells no query, fragment or user");
  require(!has_control_character(error.message()), "a message is one line");
}

void check_reference(const Url& base, std::string_view reference) {
  const auto url = resolve(base, reference);
  if (!url) return check_error(url.error());
  check_url(*url);
  const bool is_base = reference.substr(0, reference.find('#')).empty();
  require(is_base || !has_dot_segment(url->target), "a Location leads to a path without dots");
  const auto again = resolve(base, url->to_string());
  require(again && *again == *url, "a Location in full is the same");
}

void check_escapes(std::string_view text) {
  const std::string escaped = percent_encode_query(text);
  require(escaped.find_first_of("&=?#/+ ") == std::string::npos, "an escaped text is one part of a query");
  const auto back = percent_decode(escaped);
  require(text.contains('\0') ? !back.has_value() : back && *back == text, "an escaped text is read back");
  const auto decoded = percent_decode(text);
  require(!decoded || decoded->size() <= text.size(), "a decoded text is no longer");
  require(!decoded || text.contains('\0') || !decoded->contains('\0'), "an escape never makes a zero byte");
}

}  // namespace

void fuzz(std::string_view input) {
  const auto url = Url::parse(input);
  if (url) {
    check_url(*url);
  } else {
    check_error(url.error());
  }
  static const std::array<Url, 2> bases = {*Url::parse("https://registry.example/v2/a/blobs/x?y=z"),
                                           *Url::parse("http://[::1]:5000/")};
  for (const Url& base : bases) check_reference(base, input);
  check_escapes(input);
}

}  // namespace layover::fuzz
