if(TARGET client_embedded)
  stigstore_test(client_embedded_test SOURCES ${CMAKE_CURRENT_LIST_DIR}/client_embedded.c LIBRARIES client_embedded)
endif()
