# Histories of concurrent calls, checked by a program in Go; skipped by name where Go is missing or too old.
foreach(variant "" _stale)
  add_executable(linear_record${variant} fault/process/linear_record.c fault/process/journal.c system/scene.c)
  set_target_properties(linear_record${variant} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(linear_record${variant} PRIVATE stigstore_options test_support)
  target_compile_definitions(linear_record${variant} PRIVATE STIGSTORE_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
endforeach()
target_link_libraries(linear_record PRIVATE stigstore)
# The control reads with the same library, but for one function.
target_sources(linear_record_stale PRIVATE fault/faulty/snapshot.c)
target_link_libraries(linear_record_stale PRIVATE client_full)
target_link_options(linear_record_stale PRIVATE -Wl,--wrap=snapshot_begin)

stigstore_fault_test(linearizability TIMEOUT 240
  COMMAND ${CMAKE_CURRENT_LIST_DIR}/check --build ${CMAKE_BINARY_DIR} --histories 60)
stigstore_fault_test(linearizability_catches_stale_reads TIMEOUT 240
  COMMAND ${CMAKE_CURRENT_LIST_DIR}/check --build ${CMAKE_BINARY_DIR} --histories 40 --stale)
