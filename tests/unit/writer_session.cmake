stigstore_test(writer_session SOURCES ${CMAKE_CURRENT_LIST_DIR}/writer_session.c LIBRARIES writer)
stigstore_test(writer_session_log SOURCES ${CMAKE_CURRENT_LIST_DIR}/writer_session_log.c LIBRARIES writer)
stigstore_test(writer_session_model SOURCES ${CMAKE_CURRENT_LIST_DIR}/writer_session_model.c LIBRARIES writer)
