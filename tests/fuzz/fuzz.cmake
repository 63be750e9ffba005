# Fuzz targets, built by clang in a folder of their own: cmake -DSTIGSTORE_FUZZ=ON. Each has a control, the same with a
# fault put in by the linker. tests/fuzz/run runs them; build-fuzz/tests/fuzz/TARGET FILE repeats what one found.
if(NOT STIGSTORE_FUZZ)
  return()
endif()
set(fuzz_folder ${CMAKE_CURRENT_LIST_DIR})

# The binary seeds, written by our own encoders.
add_executable(fuzz_seeds ${fuzz_folder}/seeds.c)
target_link_libraries(fuzz_seeds PRIVATE stigstore_options proto_wire transfer_generated)
target_sources(fuzz_seeds PRIVATE ${CMAKE_SOURCE_DIR}/cli/transfer.c)
add_custom_command(TARGET fuzz_seeds POST_BUILD COMMAND fuzz_seeds ${CMAKE_BINARY_DIR}/tests/fuzz/seeds)

function(stigstore_fuzz name)
  cmake_parse_arguments(FUZZ "" "CONTROL" "SOURCES;LIBRARIES" ${ARGN})
  string(TOUPPER ${name} upper)
  foreach(target ${name} ${name}-control)
    add_executable(fuzz_${target} ${FUZZ_SOURCES})
    target_link_libraries(fuzz_${target} PRIVATE stigstore_options ${FUZZ_LIBRARIES})
    target_link_options(fuzz_${target} PRIVATE -fsanitize=fuzzer)
    set_target_properties(fuzz_${target} PROPERTIES OUTPUT_NAME ${target}
      RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/fuzz)
    add_dependencies(fuzz_${target} fuzz_seeds)
  endforeach()
  target_sources(fuzz_${name}-control PRIVATE ${fuzz_folder}/planted.c)
  target_compile_definitions(fuzz_${name}-control PRIVATE PLANTED_${upper})
  target_link_options(fuzz_${name}-control PRIVATE -Wl,--wrap=${FUZZ_CONTROL})
  stigstore_fault_test(fuzz_${name} TIMEOUT 120
    COMMAND ${fuzz_folder}/run --build ${CMAKE_BINARY_DIR} --seconds 20 ${name})
  stigstore_fault_test(fuzz_${name}_catches_a_fault TIMEOUT 120
    COMMAND ${fuzz_folder}/run --build ${CMAKE_BINARY_DIR} --control ${name})
endfunction()

set(cli ${CMAKE_SOURCE_DIR}/cli)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium) # the command line's, which only its folder sees
stigstore_fuzz(envelope CONTROL envelope_decode SOURCES ${fuzz_folder}/envelope.c LIBRARIES proto_wire)
stigstore_fuzz(batch CONTROL request_check SOURCES ${fuzz_folder}/batch.c ${fuzz_folder}/batch_mutate.c
  LIBRARIES proto_wire proto_generated)
stigstore_fuzz(broker CONTROL credit_admit SOURCES ${fuzz_folder}/broker.c ${fuzz_folder}/broker_model.c
  LIBRARIES broker_route)
stigstore_fuzz(import CONTROL import_history_has
  SOURCES ${fuzz_folder}/import.c ${cli}/import_file.c ${cli}/import_history.c ${cli}/transfer.c ${cli}/progress.c
  LIBRARIES stigstore_header proto_core transfer_generated)
stigstore_fuzz(health CONTROL json_integer_value SOURCES ${fuzz_folder}/health.c
  LIBRARIES actor_plain PkgConfig::JANSSON)
stigstore_fuzz(cli CONTROL cli_number
  SOURCES ${fuzz_folder}/cli.c ${cli}/number.c ${cli}/serve_config.c ${cli}/key_file.c ${cli}/key_folder.c
    ${CMAKE_SOURCE_DIR}/client/url.c
  LIBRARIES stigstore_header actor_plain PkgConfig::ZMQ PkgConfig::SODIUM)
