# The client library beside a real service.
if(TARGET client_full AND TARGET test_support)
  stigstore_test(client_service_test SYSTEM SOURCES ${CMAKE_CURRENT_LIST_DIR}/client_service.c
    LIBRARIES client_full test_support TIMEOUT 120)
endif()
