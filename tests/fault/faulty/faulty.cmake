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
  SOURCES fault/faulty/writer.c fault/faulty/disk.c
  INSTEAD_OF sqlite3_step writer_idle writer_run session_decide session_settle worker_reply sqlite3_wal_checkpoint_v2)
set_target_properties(fault_writer PROPERTIES ENABLE_EXPORTS ON) # SQLite must find our fdatasync()
fault_program(fault_broker stigstore-broker
  SOURCES fault/faulty/broker.c
  INSTEAD_OF route_limits_default route_refuse admission_start peers_close)
set_target_properties(fault_broker PROPERTIES ENABLE_EXPORTS ON) # libzmq must find our accept4()
fault_program(fault_supervisor stigstore_cli
  SOURCES fault/faulty/supervisor.c
  INSTEAD_OF lock_describe holders_of)
fault_program(fault_reader stigstore-reader
  SOURCES fault/faulty/snapshot.c fault/faulty/streams.c
  INSTEAD_OF snapshot_begin streams_new)
