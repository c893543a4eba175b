# Writes the checkout's commit into a header, at each build: cmake -DGIT=... -DSOURCE=... -DTEMPLATE=... -DHEADER=...
# -P revision.cmake. The header is left alone where it says so already.
set(LAYOVER_REVISION "unknown")
if(GIT)
  execute_process(COMMAND ${GIT} -C ${SOURCE} rev-parse --short=12 HEAD
    OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE status ERROR_QUIET)
  if(status EQUAL 0)
    set(LAYOVER_REVISION "${found}")
  endif()
endif()
configure_file(${TEMPLATE} ${HEADER} @ONLY)
