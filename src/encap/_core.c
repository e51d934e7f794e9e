#include "core/bytes.h"

#include "core/api.h"
#include "core/batch.h"

#include "core/checksum.c"
#include "core/copy.c"
#include "core/walk.c"
#include "core/parse.c"
#include "core/columns.c"
#include "core/options.c"
#include "core/implementation.c"
#include "core/capture.c"
