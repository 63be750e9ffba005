# The lane through the broker; libzmq alone, never czmq.
add_library(client_remote STATIC remote.c remote_reads.c remote_reads_answer.c remote_receive.c remote_send.c
  remote_session.c remote_session_answer.c remote_socket.c remote_status.c remote_store.c)
target_link_libraries(client_remote PUBLIC stigstore_options proto_wire PkgConfig::ZMQ Threads::Threads)
