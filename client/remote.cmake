# The lane through the broker; libzmq alone, never czmq.
add_library(client_remote STATIC)
foreach(part remote remote_reads remote_reads_answer remote_receive remote_send remote_session remote_session_answer
             remote_socket remote_status remote_store)
  target_sources(client_remote PRIVATE ${CMAKE_CURRENT_LIST_DIR}/${part}.c)
endforeach()
target_link_libraries(client_remote PUBLIC stigstore_options proto_wire PkgConfig::ZMQ Threads::Threads)
