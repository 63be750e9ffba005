# Good clients beside hostile peers, on real processes; and services with a fault that must be found. Sanitizers keep
# memory of their own, and time.
if(STIGSTORE_SANITIZE)
  return()
endif()
add_executable(hostile hostile/hostile.c hostile/good.c hostile/kinds.c system/zmtp.c system/scene.c)
set_target_properties(hostile PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(hostile PRIVATE stigstore_options stigstore test_support proto_wire)
target_compile_definitions(hostile PRIVATE STIGSTORE_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
add_dependencies(hostile stigstore_cli stigstore-broker stigstore-writer stigstore-reader)

# The same objects, some functions replaced by the linker; the supervisor starts what lies beside it.
function(stigstore_broken name of)
  cmake_parse_arguments(BROKEN "" "FOLDER" "SOURCES;INSTEAD_OF;BESIDE" ${ARGN})
  set(folder ${CMAKE_BINARY_DIR}/tests/${BROKEN_FOLDER})
  add_executable(${name} ${BROKEN_SOURCES} $<TARGET_OBJECTS:${of}>)
  get_target_property(libraries ${of} LINK_LIBRARIES)
  target_link_libraries(${name} PRIVATE ${libraries})
  list(TRANSFORM BROKEN_INSTEAD_OF PREPEND -Wl,--wrap=)
  target_link_options(${name} PRIVATE ${BROKEN_INSTEAD_OF})
  set_target_properties(${name} PROPERTIES OUTPUT_NAME $<TARGET_FILE_NAME:${of}> RUNTIME_OUTPUT_DIRECTORY ${folder})
  get_target_property(exports ${of} ENABLE_EXPORTS)
  if(exports)
    set_target_properties(${name} PROPERTIES ENABLE_EXPORTS ON)
  endif()
  foreach(program ${BROKEN_BESIDE})
    add_dependencies(${name} ${program})
    add_custom_command(TARGET ${name} POST_BUILD
      COMMAND ${CMAKE_COMMAND} -E copy $<TARGET_FILE:${program}> ${folder})
  endforeach()
endfunction()
stigstore_broken(hostile_broker stigstore-broker FOLDER hostile-broker
  SOURCES hostile/broken_broker.c INSTEAD_OF route_client_malformed envelope_decode
  BESIDE stigstore_cli stigstore-writer stigstore-reader)
stigstore_broken(hostile_supervisor stigstore_cli FOLDER hostile-supervisor
  SOURCES hostile/broken_supervisor.c INSTEAD_OF setrlimit
  BESIDE stigstore-broker stigstore-writer stigstore-reader)
stigstore_broken(hostile_cli stigstore_cli FOLDER hostile-cli SOURCES hostile/broken_cli.c INSTEAD_OF cli_number)
add_executable(lines hostile/lines.c)
set_target_properties(lines PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(lines PRIVATE stigstore_options test_support)
target_compile_definitions(lines PRIVATE STIGSTORE_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
add_dependencies(lines stigstore_cli)

stigstore_fault_test(fault_lines TIMEOUT 300 COMMAND lines --runs 400)
stigstore_fault_test(fault_lines_catches_a_crash TIMEOUT 300
  COMMAND lines --runs 2000 --programs ${CMAKE_BINARY_DIR}/tests/hostile-cli --expect-crash)
stigstore_fault_test(fault_hostile TIMEOUT 600 COMMAND hostile --rounds 3)
stigstore_fault_test(fault_hostile_endless TIMEOUT 300 COMMAND hostile --endless 4)
foreach(control stall:slow assert:ended confuse:errors)
  string(REPLACE ":" ";" control ${control})
  list(GET control 0 fault)
  list(GET control 1 complaint)
  stigstore_fault_test(fault_hostile_catches_${fault} TIMEOUT 300
    COMMAND hostile --kind envelope --programs ${CMAKE_BINARY_DIR}/tests/hostile-broker --expect ${complaint})
  set_tests_properties(fault_hostile_catches_${fault} PROPERTIES ENVIRONMENT STIGSTORE_FAULT=${fault})
endforeach()
stigstore_fault_test(fault_hostile_catches_no_bound TIMEOUT 300
  COMMAND hostile --endless 1 --programs ${CMAKE_BINARY_DIR}/tests/hostile-supervisor --expect unbounded)
# They measure time, and memory.
foreach(test "" _endless _catches_stall _catches_assert _catches_confuse _catches_no_bound)
  set_tests_properties(fault_hostile${test} PROPERTIES RUN_SERIAL TRUE)
endforeach()
