"""`python -m weebill.gateway`: a worker process, started by the supervisor."""

import uvloop

from weebill.gateway.worker import main

uvloop.run(main())
