# Language level, warnings and sanitizers for everything we compile.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE OFF)

if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang" OR CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19)
  message(FATAL_ERROR
    "llmd needs clang 19 or newer (g++ 12 miscompiles aggregates around co_await; see docs/adr/0001-toolchain.md). "
    "Run ./dev setup, then configure with --preset release.")
endif()

find_program(LLMD_CCACHE ccache)
if(LLMD_CCACHE)
  # Sloppiness is what ccache asks for with precompiled headers; base_dir makes a second checkout hit.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
    CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${LLMD_CCACHE})
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Werror -Wno-missing-field-initializers
  -Wno-missing-designated-field-initializers
  -fno-omit-frame-pointer -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=
  "SHELL:-Xclang -fno-pch-timestamp")
add_compile_definitions(_GLIBCXX_ASSERTIONS BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_DISABLE_VISIBILITY
  BOOST_ASIO_HAS_CO_AWAIT BOOST_ASIO_HAS_STD_COROUTINE)
add_link_options(-fuse-ld=lld)

set(LLMD_SANITIZE "" CACHE STRING "Sanitizers, for instance address,undefined or thread")
if(LLMD_SANITIZE)
  add_compile_options(-fsanitize=${LLMD_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${LLMD_SANITIZE})
endif()
set(LLMD_COVERAGE OFF CACHE BOOL "Instrument for source-based coverage")
if(LLMD_COVERAGE)
  add_compile_options(-fprofile-instr-generate -fcoverage-mapping)
  add_link_options(-fprofile-instr-generate)
endif()
