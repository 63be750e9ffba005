# Who gets in over tcp: the verbs that keep the keys, and a real service that listens on a port with them.
set(gate_tests verbs entry live lockout reuse)
if(NOT STIGSTORE_SANITIZE) # whose runtime wants to be loaded before anything else
  list(APPEND gate_tests controls)
  add_library(gate_broken MODULE ${CMAKE_CURRENT_LIST_DIR}/broken.c)
  set_target_properties(gate_broken PROPERTIES C_VISIBILITY_PRESET default
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(gate_broken PRIVATE stigstore_options PkgConfig::ZMQ ${CMAKE_DL_LIBS})
endif()
foreach(test ${gate_tests})
  stigstore_test(gate_${test} TIMEOUT 120 LIBRARIES test_support stigstore proto_wire PkgConfig::ZMQ
    SOURCES gate/${test}.c gate/gate.c gate/far.c gate/crush.c system/scene.c)
  add_dependencies(gate_${test} stigstore_cli stigstore-broker stigstore-writer stigstore-reader)
endforeach()
if(TARGET gate_broken)
  target_compile_definitions(gate_controls PRIVATE BROKEN_LIBRARY="$<TARGET_FILE:gate_broken>")
  add_dependencies(gate_controls gate_broken)
endif()
