# One suite, three ways to open a store.

add_executable(behaviour behaviour/main.c behaviour/helpers.c behaviour/resources.c behaviour/conditions.c
               behaviour/audit.c behaviour/cursors.c behaviour/queues.c behaviour/threads.c behaviour/handles.c behaviour/edges.c
               behaviour/misuse.c)
set_target_properties(behaviour PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(behaviour PRIVATE stigstore_options test_support stigstore PkgConfig::CMOCKA Threads::Threads)
math(EXPR timeout "300 * ${STIGSTORE_TIME_FACTOR}")
foreach(way embedded local broker)
  add_test(NAME behaviour_${way} COMMAND behaviour ${way})
  set_tests_properties(behaviour_${way} PROPERTIES TIMEOUT ${timeout})
endforeach()
