/*
 * decode.h - show a protobuf message as text through protoc.
 */
#ifndef CLI_DECODE_H
#define CLI_DECODE_H
#include "stigstore.h"

/* Prints `message` as TYPE, whose .proto files lie under `folder` (NULL: here); an exit code. */
int decode_print(const char *type, const char *folder, stigstore_bytes message);
#endif
