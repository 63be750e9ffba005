# Processes that are killed under load: the parts, the test, and one entry for each fault that it must catch.
add_library(fault_rig STATIC fault/process/journal.c fault/process/deeds.c
  fault/process/history.c fault/process/judge.c fault/process/look.c
  fault/process/rig.c system/scene.c)
target_link_libraries(fault_rig PUBLIC stigstore_options stigstore test_support PkgConfig::SQLITE)
target_compile_definitions(fault_rig PUBLIC
  FAULT_BIN_DIR="${CMAKE_BINARY_DIR}/tests" STIGSTORE_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
foreach(program kill client intruder)
  add_executable(fault_${program} fault/process/${program}.c)
  set_target_properties(fault_${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(fault_${program} PRIVATE fault_rig)
endforeach()

stigstore_fault_test(fault_kill TIMEOUT 360
  COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/fault/kill --build ${CMAKE_BINARY_DIR} --cycles 60)

foreach(control early-reply:lost no-sessions:twice out-of-order:order lost-reply:unanswered no-owner:intruder)
  string(REPLACE ":" ";" control ${control})
  list(GET control 0 fault)
  list(GET control 1 complaint)
  stigstore_fault_test(fault_kill_catches_${fault} TIMEOUT 120
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/fault/kill --build ${CMAKE_BINARY_DIR} --fault ${fault} --expect ${complaint})
endforeach()
