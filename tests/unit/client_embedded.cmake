# The client library on a file of its own.
if(TARGET client_embedded)
  foreach(name client_embedded client_queue client_life)
    if(EXISTS ${CMAKE_CURRENT_LIST_DIR}/${name}.c)
      stigstore_test(${name}_test SOURCES ${CMAKE_CURRENT_LIST_DIR}/${name}.c
        ${CMAKE_CURRENT_LIST_DIR}/client_fixture.c LIBRARIES client_embedded)
    endif()
  endforeach()
endif()
