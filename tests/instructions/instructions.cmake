# Speed is guarded by counting instructions, never by a clock; a sanitizer's own would count too.
if(NOT STIGSTORE_SANITIZE)
  stigstore_fault_test(instructions COMMAND ${CMAKE_SOURCE_DIR}/bench/instructions ${CMAKE_BINARY_DIR} TIMEOUT 300)
endif()
