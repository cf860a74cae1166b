"""What lets an artifact for bare metal drop into a firmware project: a CMakeLists.txt and a makefile to include."""

from __future__ import annotations

from qcc.targets.target import Target

_CMAKE_LIBRARY = """\
# The library {name}: add_subdirectory(this folder), then target_link_libraries(your_program {name}).
add_library({name} STATIC IMPORTED GLOBAL)
set_target_properties({name} PROPERTIES
    IMPORTED_LOCATION ${{CMAKE_CURRENT_LIST_DIR}}/lib{name}.a
    INTERFACE_INCLUDE_DIRECTORIES ${{CMAKE_CURRENT_LIST_DIR}})
"""

_CMAKE_SOURCE = """\
# The library {name}: add_subdirectory(this folder), then target_link_libraries(your_program {name}).
add_library({name} STATIC ${{CMAKE_CURRENT_LIST_DIR}}/{name}.c)
target_include_directories({name} PUBLIC ${{CMAKE_CURRENT_LIST_DIR}})
"""

_MAKE = """\
# The library {name}: include this file, then use {name}_CFLAGS to compile, {name}_SOURCES and {name}_LIBRARY to link.
# Make takes no spaces in the path of this folder.
{name}_FOLDER := $(dir $(lastword $(MAKEFILE_LIST)))
{name}_CFLAGS := -I$({name}_FOLDER)
{name}_SOURCES :={source}
{name}_LIBRARY :={library}
"""


def project_files(name: str, target: Target) -> dict[str, bytes]:
    """Return `CMakeLists.txt` and `NAME.mk` for a target without an operating system, nothing for others."""
    if target.link is None or not target.link.script:
        return {}
    place = f" $({name}_FOLDER)"
    source, library = (f"{place}{name}.c", "") if target.emits_c else ("", f"{place}lib{name}.a")
    cmake = _CMAKE_SOURCE if target.emits_c else _CMAKE_LIBRARY
    make = _MAKE.format(name=name, source=source, library=library)
    return {"CMakeLists.txt": cmake.format(name=name).encode(), f"{name}.mk": make.encode()}
