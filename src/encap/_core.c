#include "core/bytes.h"

#include "core/api.h"

#include "core/checksum.c"
#include "core/walk.c"
#include "core/columns.c"
#include "core/copy.c"
#include "core/capture.c"
