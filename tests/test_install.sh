#!/bin/bash
# make install and make uninstall: what is installed is found by pkg-config, CMake and a plain include, in C and C++.
# The consumers are compiled without optimization and with raw alone, which takes a second each.
set -u
cd "$(dirname "$0")/.." || exit 1
root=$PWD/build/test_install
rm -rf "$root"
mkdir -p "$root/staged"
. tests/check.sh
staged=$root/staged
installed=$staged/usr
own=$root/own # a second one, for pkg-config: its programs differ in what they do with DESTDIR
options='-Wall -Wextra -Werror -DDTC_NO_SIMD -DDTC_NO_TERNARY -DDTC_NO_QUANT -DDTC_NO_FACTOR -DDTC_NO_SENSING'
options+=' -DDTC_NO_CIRCULANT'
version=$(awk '/^#define DTC_VERSION_/ {v = v dot $3; dot = "."} END {print v}' dtcodec.h)
export PKG_CONFIG_LIBDIR=$own/share/pkgconfig CMAKE_BUILD_PARALLEL_LEVEL=2
# make check hands its job server to what it runs, and CMake would start make without one
unset MAKEFLAGS MFLAGS MAKELEVEL CFLAGS CXXFLAGS

make_here() { make -s "$@" DESTDIR="$staged" PREFIX=/usr; }
tree() { (cd "$1" && find . | sort); }

installs() {
    make_here install && cmp dtcodec.h "$installed/include/dtcodec.h" &&
        cmp dtcodec_fft.h "$installed/include/dtcodec_fft.h" && cmp LICENSE "$installed/share/doc/dtcodec/LICENSE" &&
        ! grep -rn '@' "$installed/share/pkgconfig" "$installed/share/cmake" &&
        [ -z "$(find "$installed" -type f -not -perm 644)" ]
}

# run NAME: the program says the version of the header, and works
run() {
    "$root/$1" >"$root/$1.log"
    local code=$?
    cat "$root/$1.log"
    [ $code -eq 0 ] && grep -q "^version $version, " "$root/$1.log"
}

# plain NAME COMPILER FILE...: an include path alone
plain() {
    "${@:2}" $options -DIMPLEMENT -I "$installed/include" tests/install/use.c -o "$root/$1" -lm && run "$1"
}

pkg_config_tells() {
    grep -x 'prefix=/usr' "$installed/share/pkgconfig/dtcodec.pc" && make -s install PREFIX="$own" &&
        [ "$(pkg-config --modversion dtcodec)" = "$version" ] &&
        [ "$(pkg-config --variable=prefix dtcodec)" = "$own" ] && pkg-config --exists "dtcodec = $version" &&
        ! pkg-config --exists "dtcodec > $version"
}

# pkg_config NAME COMPILER...: the program has the implementation in its own file
pkg_config() {
    # shellcheck disable=SC2046 # lists of options
    "${@:2}" $options -DIMPLEMENT tests/install/use.c $(pkg-config --cflags --libs dtcodec) -o "$root/$1" && run "$1"
}

# pkg_config_source NAME COMPILER...: the program takes the installed file
pkg_config_source() {
    # shellcheck disable=SC2046 # lists of options
    "${@:2}" $options tests/install/use.c "$(pkg-config --variable=source dtcodec)" \
        $(pkg-config --cflags --libs dtcodec) -o "$root/$1" && run "$1"
}

# cmake_configure LANGUAGES VERSION, cmake_build LANGUAGES TARGET...
cmake_configure() {
    local build=$root/cmake-${1/;/-}
    cmake -S tests/install -B "$build" -DCMAKE_PREFIX_PATH="$installed" -DLANGUAGES="$1" -DVERSION="$2" \
        -DCMAKE_C_FLAGS="$options" -DCMAKE_CXX_FLAGS="$options"
}
cmake_build() {
    local build=$root/cmake-${1/;/-} target
    cmake_configure "$1" "$version" && cmake --build "$build" --target "${@:2}" || return 1
    for target in "${@:2}"; do
        cp "$build/$target" "$root" && run "$target" || return 1
    done
}

another_version() {
    ! cmake_configure C 99.0 >"$root/log" 2>&1 && cat "$root/log" &&
        grep -q "dtcodecConfig.cmake, version: $version" "$root/log"
}

# suits VERSION OPTION...: whether find_package takes this version for a program that asks for what the options say
suits() {
    cat >"$root/version.cmake" <<'END'
include("${FILE}")
if(NOT PACKAGE_VERSION_COMPATIBLE)
    message(FATAL_ERROR "not compatible")
endif()
END
    local file=$installed/share/cmake/dtcodec/dtcodecConfigVersion.cmake
    sed "s/set(PACKAGE_VERSION \".*\")/set(PACKAGE_VERSION \"$1\")/" "$file" >"$root/is.cmake"
    shift
    cmake -DFILE="$root/is.cmake" "$@" -P "$root/version.cmake"
}
versions() {
    suits 0.3.1 -DPACKAGE_FIND_VERSION=0.3 && suits 0.3.1 -DPACKAGE_FIND_VERSION=0.3.1 &&
        suits 1.4.0 -DPACKAGE_FIND_VERSION=1.2 && ! suits 0.3.1 -DPACKAGE_FIND_VERSION=0.2 &&
        ! suits 0.3.1 -DPACKAGE_FIND_VERSION=0.3.2 && ! suits 0.3.1 -DPACKAGE_FIND_VERSION=1.0 &&
        ! suits 1.4.0 -DPACKAGE_FIND_VERSION=0.3 && ! suits 2.0.0 -DPACKAGE_FIND_VERSION=1.2 &&
        ! suits 0.30.0 -DPACKAGE_FIND_VERSION=0.3 &&
        suits 0.4.0 -DPACKAGE_FIND_VERSION_RANGE=0.3...0.4 -DPACKAGE_FIND_VERSION_MIN=0.3 \
            -DPACKAGE_FIND_VERSION_MAX=0.4 -DPACKAGE_FIND_VERSION_RANGE_MAX=INCLUDE &&
        ! suits 0.4.0 -DPACKAGE_FIND_VERSION_RANGE='0.3...<0.4' -DPACKAGE_FIND_VERSION_MIN=0.3 \
            -DPACKAGE_FIND_VERSION_MAX=0.4 -DPACKAGE_FIND_VERSION_RANGE_MAX=EXCLUDE
}

uninstalls() {
    make_here install && make_here uninstall && make -s uninstall PREFIX="$own" && tree "$root" &&
        [ "$(tree "$staged")" = . ] && [ ! -e "$own" ]
}

# Files and empty directories that were there before stay, and so does what others put into a directory of the library.
leaves_the_rest() {
    mkdir -p "$installed/include" "$installed/share/cmake/other"
    touch "$installed/include/other.h"
    tree "$installed" >"$root/before"
    make_here install && touch "$installed/share/doc/dtcodec/notes" && make_here uninstall || return 1
    rm "$installed/share/doc/dtcodec/notes" && rmdir "$installed/share/doc/dtcodec" "$installed/share/doc" || return 1
    tree "$installed" | diff "$root/before" -
    local code=$?
    rm -rf "$installed"
    return $code
}

# A file that an older version installed is on its list, and goes.
upgrades() {
    make_here install && touch "$installed/include/old.h" || return 1
    sed -i '$i/usr/include/old.h' "$installed/share/dtcodec/manifest"
    make_here install && [ -e "$installed/include/old.h" ] && make_here uninstall && [ "$(tree "$staged")" = . ]
}

refuses() {
    ! make_here uninstall 2>"$root/log" && grep -q 'nothing is installed' "$root/log" &&
        ! make -s install DESTDIR="$staged" PREFIX=usr 2>"$root/log" && grep -q 'absolute path' "$root/log" &&
        [ "$(tree "$staged")" = . ]
}

check "make install installs headers, licence and nothing unfilled" installs
check "a plain include: C" plain plain gcc -std=c99
check "a plain include: C++" plain plain++ g++ -std=c++11 -x c++
check "pkg-config tells the version and the prefix" pkg_config_tells
check "pkg-config: C" pkg_config pkg-config gcc -std=c99
check "pkg-config: C, and the installed implementation" pkg_config_source pkg-config-source gcc -std=c99
check "pkg-config: C++, and the installed implementation" pkg_config_source pkg-config++ g++ -std=c++11 -x c++
check "CMake, both targets: C and C++" cmake_build 'C;CXX' header_c header_cxx library_c library_cxx
check "CMake: C++ alone" cmake_build CXX library_cxx
check "CMake refuses to take this version for a later one" another_version
check "versions that suit each other" versions
check "make uninstall, after two of make install, leaves nothing" uninstalls
check "make uninstall leaves what it did not make" leaves_the_rest
check "make uninstall removes what an older version installed" upgrades
check "make uninstall and make install refuse what they cannot do" refuses
exit $failed
