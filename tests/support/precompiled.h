// The headers that most test files include, compiled once (see layover_precompile in layers.cmake).
#pragma once

#include "cmake/precompiled.h"
#include "tests/support/catch.h"
