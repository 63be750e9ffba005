# The whole service in one thread, from a seed. Its clock replaces proto/clock.c, and it stands between the writer and
# its sessions.
add_executable(sim sim/main.c sim/broker.c sim/call.c sim/client.c sim/clock.c sim/faults.c sim/judge.c sim/network.c
  sim/reader.c sim/store.c sim/worker.c sim/writer.c ${CMAKE_SOURCE_DIR}/writer/session.c)
set_source_files_properties(${CMAKE_SOURCE_DIR}/writer/session.c PROPERTIES
  COMPILE_DEFINITIONS session_decide=session_decide_for_real)
set_target_properties(sim PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(sim PRIVATE stigstore_options broker_route client_remote writer)

# A little of it for everybody; the long form, and what each planted fault is caught by, with the other long tests.
math(EXPR sim_timeout "120 * ${STIGSTORE_TIME_FACTOR}")
add_test(NAME sim_short COMMAND sim --seed 1 --events 5000000)
set_tests_properties(sim_short PROPERTIES TIMEOUT ${sim_timeout})
stigstore_fault_test(fault_sim COMMAND sim --seed 100000 --events 50000000 TIMEOUT 600)
foreach(control floor order replay evicted log unsynced dropped repeated stale epochs sure bounds late pieces)
  stigstore_fault_test(fault_sim_catches_${control} COMMAND sim --seed 1 --events 20000000 --control ${control})
endforeach()
