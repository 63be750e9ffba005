foreach(name writer_apply writer_ranged writer_random)
  stigstore_test(${name}
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/${name}.c ${CMAKE_CURRENT_LIST_DIR}/writer_fixture.c
            ${CMAKE_CURRENT_LIST_DIR}/../support/folder.c
    LIBRARIES writer)
endforeach()
