# layover_layer(NAME [LINKS targets...] [PRIVATE_LINKS targets...])
# One static library from all sources of the current folder. LINKS names the layers below, in the order
# that ARCHITECTURE.md gives, so that an include that goes up does not link either.
function(layover_layer name)
  cmake_parse_arguments(ARG "" "" "LINKS;PRIVATE_LINKS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc ${CMAKE_CURRENT_SOURCE_DIR}/*.h)
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$")
  if(NOT sources)
    return()
  endif()
  add_library(layover_${name} STATIC ${sources})
  target_link_libraries(layover_${name} PUBLIC ${ARG_LINKS} PRIVATE layover_flags ${ARG_PRIVATE_LINKS})
endfunction()
