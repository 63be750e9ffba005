# A long time under load and faults; sanitizers keep memory of their own.
if(NOT STIGSTORE_SANITIZE)
  add_executable(fault_soak_client fault/process/soak_client.c)
  add_executable(fault_soak fault/process/soak.c fault/process/series.c)
  foreach(program fault_soak fault_soak_client)
    set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    target_link_libraries(${program} PRIVATE fault_rig)
  endforeach()

  stigstore_fault_test(fault_soak TIMEOUT 240
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/fault/soak --build ${CMAKE_BINARY_DIR} --minutes 1)
  foreach(leak memory descriptors wal)
    stigstore_fault_test(fault_soak_catches_${leak} TIMEOUT 180
      COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/fault/soak --build ${CMAKE_BINARY_DIR} --minutes 0.3 --leak ${leak})
  endforeach()
endif()
