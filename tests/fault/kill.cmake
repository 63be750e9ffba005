# Processes that are killed under load: the parts, the test, and one entry for each fault that it must catch.
add_library(fault_rig STATIC ${CMAKE_CURRENT_LIST_DIR}/journal.c ${CMAKE_CURRENT_LIST_DIR}/deeds.c
  ${CMAKE_CURRENT_LIST_DIR}/history.c ${CMAKE_CURRENT_LIST_DIR}/judge.c ${CMAKE_CURRENT_LIST_DIR}/look.c
  ${CMAKE_CURRENT_LIST_DIR}/rig.c ${CMAKE_CURRENT_LIST_DIR}/../system/scene.c)
target_link_libraries(fault_rig PUBLIC stigstore_options stigstore test_support PkgConfig::SQLITE)
target_compile_definitions(fault_rig PUBLIC
  FAULT_BIN_DIR="${CMAKE_BINARY_DIR}/tests" STIGSTORE_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
foreach(program kill client intruder)
  add_executable(fault_${program} ${CMAKE_CURRENT_LIST_DIR}/${program}.c)
  set_target_properties(fault_${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(fault_${program} PRIVATE fault_rig)
endforeach()

stigstore_fault_test(fault_kill TIMEOUT 360
  COMMAND ${CMAKE_CURRENT_LIST_DIR}/kill --build ${CMAKE_BINARY_DIR} --cycles 60)

# A service with faults built in: the same objects, some functions replaced by the linker. The supervisor starts the
# programs that lie beside it.
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium) # the command line's, which only its folder sees
set(faulty ${CMAKE_BINARY_DIR}/tests/faulty)
function(fault_program name of)
  cmake_parse_arguments(FAULT "" "" "SOURCES;INSTEAD_OF" ${ARGN})
  add_executable(${name} ${FAULT_SOURCES} $<TARGET_OBJECTS:${of}>)
  get_target_property(libraries ${of} LINK_LIBRARIES)
  target_link_libraries(${name} PRIVATE ${libraries})
  list(TRANSFORM FAULT_INSTEAD_OF PREPEND -Wl,--wrap=)
  target_link_options(${name} PRIVATE ${FAULT_INSTEAD_OF})
  set_target_properties(${name} PROPERTIES OUTPUT_NAME $<TARGET_FILE_NAME:${of}> RUNTIME_OUTPUT_DIRECTORY ${faulty})
endfunction()
fault_program(fault_writer stigstore-writer
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/faulty_writer.c ${CMAKE_CURRENT_LIST_DIR}/faulty_disk.c
  INSTEAD_OF sqlite3_step writer_idle writer_run session_decide session_settle worker_reply sqlite3_wal_checkpoint_v2)
set_target_properties(fault_writer PROPERTIES ENABLE_EXPORTS ON) # SQLite must find our fdatasync()
fault_program(fault_broker stigstore-broker
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/faulty_broker.c
  INSTEAD_OF route_limits_default route_refuse admission_start peers_close)
set_target_properties(fault_broker PROPERTIES ENABLE_EXPORTS ON) # libzmq must find our accept4()
fault_program(fault_supervisor stigstore_cli
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/faulty_supervisor.c
  INSTEAD_OF lock_describe holders_of)
fault_program(fault_reader stigstore-reader
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/faulty_snapshot.c ${CMAKE_CURRENT_LIST_DIR}/faulty_streams.c
  INSTEAD_OF snapshot_begin streams_new)
foreach(control early-reply:lost no-sessions:twice out-of-order:order lost-reply:unanswered no-owner:intruder)
  string(REPLACE ":" ";" control ${control})
  list(GET control 0 fault)
  list(GET control 1 complaint)
  stigstore_fault_test(fault_kill_catches_${fault} TIMEOUT 120
    COMMAND ${CMAKE_CURRENT_LIST_DIR}/kill --build ${CMAKE_BINARY_DIR} --fault ${fault} --expect ${complaint})
endforeach()
