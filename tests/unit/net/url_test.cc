// URLs: what is let in, what a relative Location means, and what may be shown.
#include "net/url.h"

#include <string>

#include "tests/support/catch.h"

using layover::ErrorCode;
using layover::ErrorSource;
using layover::net::percent_decode;
using layover::net::percent_encode_query;
using layover::net::resolve;
using layover::net::same_origin;
using layover::net::Scheme;
using layover::net::Url;

namespace {

Url url(std::string_view text) {
  auto parsed = Url::parse(text);
  REQUIRE(parsed);
  return *parsed;
}

std::string resolved(std::string_view base, std::string_view reference) {
  const auto found = resolve(url(base), reference);
  return found ? found->to_string() : "error";
}

}  // namespace

TEST_CASE("a URL is taken apart into scheme, host, port and target") {
  const Url parsed = url("HTTPS://Registry.Example:5443/v2/?n=1&last=b#part");
  CHECK(parsed.scheme == Scheme::kHttps);
  CHECK(parsed.host == "registry.example");
  CHECK(parsed.port == 5443);
  CHECK(parsed.target == "/v2/?n=1&last=b");
}

TEST_CASE("a URL without port or path gets its scheme's port and the root") {
  CHECK(url("http://a").port == 80);
  CHECK(url("https://a").port == 443);
  CHECK(url("https://a:").port == 443);
  CHECK(url("https://a").target == "/");
  CHECK(url("https://a?x=/y").target == "/?x=/y");
  CHECK(url("https://a#x").target == "/");
}

TEST_CASE("the path and query are kept as written") {
  const std::string text = "https://a/x/../y//z/%2f%2F?Sig=a%2Bb+c==&d=|{}";
  CHECK(url(text).to_string() == text);
}

TEST_CASE("IPv6 hosts lose their brackets and get them back in the Host header") {
  const Url parsed = url("https://[2001:DB8:0:0::1]:5000/");
  CHECK(parsed.host == "2001:db8::1");
  CHECK(parsed.authority() == "[2001:db8::1]:5000");
  CHECK(url("http://[::1]").authority() == "[::1]");
}

TEST_CASE("the Host header leaves out the scheme's own port") {
  CHECK(url("https://a:443/").authority() == "a");
  CHECK(url("http://a:80/").authority() == "a");
  CHECK(url("http://a:443/").authority() == "a:443");
}

TEST_CASE("what is no plain absolute http or https URL is refused") {
  const auto* text = GENERATE(
      "", "a", "//a/b", "/path", "ftp://a", "file:///etc/passwd", "https:/a", "https:a", "https://",
      "https:///path", "https://u@a/", "https://u:p@a/", "https://a b/", "https://a/ b", "https://a/\tb",
      "https://a/\r\nX: y", "https://a/\x7f", "https://\xc3\xa4/", "https://a/\xc3\xa4", "https://a:0",
      "https://a:65536", "https://a:99999999999", "https://a:-1", "https://a:+1", "https://a:1x",
      "https://a:000443", "https://a..b", "https://.a", "https://a.", "https://a%41/", "https://a\\b/",
      "https://a/b\\c\n", "https://[::1", "https://::1/", "https://[::1]x", "https://[fe80::1%25eth0]/",
      "https://[1.2.3.4]/", "https://[]/", "https://a,b", "https://*", " https://a", "https://a ", "://a");
  CAPTURE(text);
  const auto parsed = Url::parse(text);
  REQUIRE_FALSE(parsed);
  CHECK(parsed.error().code() == ErrorCode::kInvalid);
}

TEST_CASE("a zero byte in a URL is refused") {
  CHECK_FALSE(Url::parse(std::string_view("https://a\0.example/", 19)));
}

TEST_CASE("a host that the resolver would read as an odd IPv4 notation is refused") {
  const auto* text = GENERATE("http://127.1", "http://2130706433", "http://0x7f000001", "http://0x7f.1",
                              "http://0177.0.0.1", "http://1.2.3.4.5", "http://256.1.1.1", "http://a.1");
  CAPTURE(text);
  CHECK_FALSE(Url::parse(text));
  CHECK(url("http://127.0.0.1").host == "127.0.0.1");
  CHECK(url("http://1a.example1").host == "1a.example1");
}

TEST_CASE("host names and labels have their limits") {
  const std::string label(63, 'a');
  CHECK(Url::parse("https://" + label));
  CHECK_FALSE(Url::parse("https://" + label + "a"));
  const std::string name = label + "." + label + "." + label + "." + label;
  CHECK_FALSE(Url::parse("https://" + name));
  CHECK(Url::parse("https://" + name.substr(0, 253)));
}

TEST_CASE("messages about URLs never show a password or a query") {
  for (const auto* text : {"https://u:secret@a/", "https://a:x/?sig=secret", "ftp://a/#secret",
                           "https://secret\n", "https://a:x/?a@secret"}) {
    const auto parsed = Url::parse(text);
    REQUIRE_FALSE(parsed);
    CHECK_THAT(parsed.error().message(), !Catch::Matchers::Contains("secret"));
  }
  CHECK_THAT(Url::parse("https://a:x/p").error().message(), Catch::Matchers::Contains("https://a:x/p"));
  CHECK(url("https://a:1/b?sig=secret").without_query() == "https://a:1/b");
}

TEST_CASE("references are resolved as in RFC 3986 5.4") {
  const auto [reference, expected] = GENERATE(table<std::string, std::string>({
      {"g", "http://a/b/c/g"},
      {"./g", "http://a/b/c/g"},
      {"g/", "http://a/b/c/g/"},
      {"/g", "http://a/g"},
      {"//g", "http://g/"},
      {"?y", "http://a/b/c/d;p?y"},
      {"g?y", "http://a/b/c/g?y"},
      {"#s", "http://a/b/c/d;p?q"},
      {"g#s", "http://a/b/c/g"},
      {"g?y#s", "http://a/b/c/g?y"},
      {";x", "http://a/b/c/;x"},
      {"g;x", "http://a/b/c/g;x"},
      {"", "http://a/b/c/d;p?q"},
      {".", "http://a/b/c/"},
      {"./", "http://a/b/c/"},
      {"..", "http://a/b/"},
      {"../", "http://a/b/"},
      {"../g", "http://a/b/g"},
      {"../..", "http://a/"},
      {"../../", "http://a/"},
      {"../../g", "http://a/g"},
      {"../../../g", "http://a/g"},
      {"../../../../g", "http://a/g"},
      {"/./g", "http://a/g"},
      {"/../g", "http://a/g"},
      {"g.", "http://a/b/c/g."},
      {".g", "http://a/b/c/.g"},
      {"g..", "http://a/b/c/g.."},
      {"..g", "http://a/b/c/..g"},
      {"./../g", "http://a/b/g"},
      {"./g/.", "http://a/b/c/g/"},
      {"g/./h", "http://a/b/c/g/h"},
      {"g/../h", "http://a/b/c/h"},
      {"g;x=1/../y", "http://a/b/c/y"},
      {"g?y/./x", "http://a/b/c/g?y/./x"},
      {"g?y/../x", "http://a/b/c/g?y/../x"},
      {"g#s/../x", "http://a/b/c/g"},
      {"http://h/x/../y", "http://h/y"},
      {"https://h", "https://h/"},
  }));
  CAPTURE(reference);
  CHECK(resolved("http://a/b/c/d;p?q", reference) == expected);
}

TEST_CASE("an absolute path keeps the registry's port, a network path does not") {
  CHECK(resolved("https://r:5000/v2/a/blobs/x", "/storage/x?sig=1") == "https://r:5000/storage/x?sig=1");
  CHECK(resolved("https://r:5000/v2/", "//cdn/x") == "https://cdn/x");
  CHECK(resolved("https://r/v2/a", "b:c") == "error");
  CHECK(resolved("https://r/v2/a", "./b:c") == "https://r/v2/b:c");
}

TEST_CASE("a Location that cannot be followed is upstream's protocol error") {
  for (const auto* reference : {"ftp://a/", "https://u:secret@a/", "/a b", "a\r\nb", "//", "javascript:x"}) {
    const auto found = resolve(url("https://registry.example/?sig=secret"), reference);
    CAPTURE(reference);
    REQUIRE_FALSE(found);
    CHECK(found.error().code() == ErrorCode::kProtocol);
    CHECK(found.error().source() == ErrorSource::kUpstream);
    CHECK_THAT(found.error().message(),
               Catch::Matchers::Contains("registry.example") && !Catch::Matchers::Contains("secret"));
  }
}

TEST_CASE("an origin is scheme, host and port") {
  CHECK(same_origin(url("https://a/x"), url("https://A:443/y?z")));
  CHECK_FALSE(same_origin(url("https://a"), url("http://a")));
  CHECK_FALSE(same_origin(url("https://a"), url("http://a:443")));
  CHECK_FALSE(same_origin(url("https://a"), url("https://a:444")));
  CHECK_FALSE(same_origin(url("https://a"), url("https://a.b")));
}

TEST_CASE("percent-encoding for queries leaves only unreserved characters") {
  CHECK(percent_encode_query("repository:a/b-c_d.e~f:pull") == "repository%3Aa%2Fb-c_d.e~f%3Apull");
  CHECK(percent_encode_query("a b&c=d%+\xff") == "a%20b%26c%3Dd%25%2B%FF");
}

TEST_CASE("percent-decoding undoes it and refuses broken escapes and zero bytes") {
  CHECK(*percent_decode("host%3A5000%2f+") == "host:5000/+");
  CHECK(percent_decode("")->empty());
  CHECK(*percent_decode(percent_encode_query("a\xff\n%")) == "a\xff\n%");
  for (const auto* text : {"%", "a%4", "%zz", "%4g", "%-1", "%00", "a%00b", "% 1"}) {
    CAPTURE(text);
    CHECK_FALSE(percent_decode(text));
  }
}
