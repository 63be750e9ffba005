# The client library beside a real service.
foreach(name client_service client_service_queue)
  stigstore_test(${name}_test SOURCES ${CMAKE_CURRENT_LIST_DIR}/${name}.c
    LIBRARIES client_full test_support TIMEOUT 120)
endforeach()
