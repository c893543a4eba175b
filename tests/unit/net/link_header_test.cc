// Link header fields: the right one of several links, whatever is in quotes.
#include "net/link_header.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/catch.h"

using layover::net::find_link;

TEST_CASE("the link of a relation is found among others") {
  struct Case {
    std::string field;
    std::optional<std::string_view> next;
  };
  for (const Case& one : std::vector<Case>{
           {"</a?n=2>; rel=\"next\"", "/a?n=2"},
           {"</a>;rel=next", "/a"},
           {"</a>; REL=NEXT", "/a"},
           {"</a> ; rel = \"next\" ; title=\"x\"", "/a"},
           {"</a>; title=\"x; rel=first, <y>\"; rel=\"next\"", "/a"},
           {"</a>; title=\"\\\", \"; rel=\"next\"", "/a"},
           {"</first>; rel=\"first\", </next>; rel=\"next\"", "/next"},
           {"</both>; rel=\"last next\"", "/both"},
           {"<>; rel=next", ""},
           {"</a,b>; rel=next", "/a,b"},
           {"</a>; rel=\"next-archive\"", std::nullopt},
           {"</a>; rel=first; rel=next", std::nullopt},
           {"</a>; title=\"rel=next\"", std::nullopt},
           {"</a>", std::nullopt},
           {"", std::nullopt},
           {"/a; rel=next", std::nullopt},
           {"</a; rel=next", std::nullopt},
           {"</a>; title=\"\\", std::nullopt},
       }) {
    INFO(one.field);
    CHECK(find_link(one.field, "next") == one.next);
  }
}
