# More than the service can do, and parts and peers of it that stop; sanitizers keep memory and time of their own.
if(NOT STIGSTORE_SANITIZE)
  set(overload_parts overload load stops connections trial flood peer callers)
  list(TRANSFORM overload_parts REPLACE "(.+)" "fault/overload/\\1.c")
  add_executable(fault_overload ${overload_parts} fault/process/series.c system/zmtp.c system/load.c)
  set_target_properties(fault_overload PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(fault_overload PRIVATE fault_rig proto_wire)
  add_executable(fault_holder fault/overload/holder.c)
  set_target_properties(fault_holder PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(fault_holder PRIVATE stigstore_options stigstore)

  function(overload_test situation seconds)
    stigstore_fault_test(fault_overload_${situation} TIMEOUT 240
      COMMAND fault_overload ${situation} --seconds ${seconds})
  endfunction()
  overload_test(ten-times 5)
  overload_test(neighbour 4)
  overload_test(grants 2)
  overload_test(writer-stopped 1)
  overload_test(slow-disk 2)
  overload_test(held-snapshot 1)
  overload_test(stopped-client 1)
  overload_test(deaf 2)
  overload_test(crowd 1)
  overload_test(descriptors 1)

  # situation:fault:class of what must be found
  foreach(control ten-times:no-bounds:memory ten-times:dear-refusals:answers neighbour:no-share:neighbour
      grants:no-room:neighbour writer-stopped:lost-reply:answers slow-disk:one-by-one:throughput
      held-snapshot:endless-snapshots:wal stopped-client:nameless:wal stopped-client:waits-for-snapshots:life
      stopped-client:no-checkpoint:wal deaf:no-bounds:memory crowd:leaks-descriptors:descriptors
      descriptors:no-reserve:spin)
    string(REPLACE ":" ";" control ${control})
    list(GET control 0 situation)
    list(GET control 1 fault)
    list(GET control 2 class)
    set(seconds 1)
    if(situation STREQUAL neighbour)
      set(seconds 3)
    endif()
    stigstore_fault_test(fault_overload_${situation}_catches_${fault} TIMEOUT 240
      COMMAND fault_overload ${situation} --seconds ${seconds} --fault ${fault} --expect ${class})
  endforeach()
  get_property(all_tests DIRECTORY PROPERTY TESTS)
  foreach(test ${all_tests})
    if(test MATCHES "^fault_overload_")
      set_tests_properties(${test} PROPERTIES RUN_SERIAL TRUE)
    endif()
  endforeach()
endif()
