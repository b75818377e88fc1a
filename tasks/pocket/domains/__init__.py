"""The databases of ``pocket``. ``SEEN`` occur in training, ``UNSEEN`` in dev and test only."""

from tasks.pocket.domains.brewery import BREWERY
from tasks.pocket.domains.clinic import CLINIC
from tasks.pocket.domains.cycling import CYCLING
from tasks.pocket.domains.farm import FARM
from tasks.pocket.domains.festival import FESTIVAL
from tasks.pocket.domains.harbour import HARBOUR
from tasks.pocket.domains.hotel import HOTEL
from tasks.pocket.domains.museum import MUSEUM
from tasks.pocket.domains.railway import RAILWAY
from tasks.pocket.domains.software import SOFTWARE
from tasks.pocket.domains.warehouse import WAREHOUSE
from tasks.pocket.domains.zoo import ZOO

SEEN = (BREWERY, CLINIC, RAILWAY, MUSEUM, ZOO, WAREHOUSE, FESTIVAL, CYCLING, SOFTWARE, FARM)
UNSEEN = (HARBOUR, HOTEL)
DOMAINS = SEEN + UNSEEN
