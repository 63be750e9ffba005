# The lane through the broker, alone, and against the writer's sessions.
foreach(part remote_reads remote_store)
  stigstore_test(${part} SOURCES ${CMAKE_CURRENT_LIST_DIR}/${part}.c LIBRARIES client_remote)
endforeach()
foreach(part remote_session remote_session_end)
  stigstore_test(${part} SOURCES ${CMAKE_CURRENT_LIST_DIR}/${part}.c
    ${CMAKE_CURRENT_LIST_DIR}/remote_session_fixture.c LIBRARIES client_remote)
endforeach()
foreach(part remote_lane remote_curve remote_damage)
  stigstore_test(${part} SOURCES ${CMAKE_CURRENT_LIST_DIR}/${part}.c ${CMAKE_CURRENT_LIST_DIR}/remote_fixture.c
    LIBRARIES client_remote)
endforeach()
stigstore_test(remote_session_model
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/remote_session_model.c ${CMAKE_CURRENT_LIST_DIR}/remote_judge_rules.c
          ${CMAKE_CURRENT_LIST_DIR}/remote_judge_writer.c
  LIBRARIES client_remote writer)
stigstore_test(remote_service SOURCES ${CMAKE_CURRENT_LIST_DIR}/remote_service.c
  LIBRARIES client_remote test_support TIMEOUT 180)
