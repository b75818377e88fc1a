"""The words that invented schemas, columns and values are composed of."""

from __future__ import annotations


def listed(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


ENTITIES = listed(
    """
    acre actor adapter agency airport album alley allergen ambulance analyst anchor animal antenna apiary
    appliance
    apprentice aquarium archer archive arena artefact artisan assay astronaut athlete atlas auction auditor
    author
    avenue award axle backup badge bakery ballad ballot band banner barge barista barn barrel basin basket
    battery
    bay beach beacon bee bell bench berth beverage bid bill biologist bird blanket blend blimp blueprint
    boat boiler
    bolt bond booth bottle bouquet boutique bracelet braid brewer brick bridge broker brush bucket budget
    building
    bulb bundle bunker buoy burial cabin cable cafe cage calf camera camp campaign canal candle canoe canyon
    cap
    caravan card carpet carriage cart carton carver cashier castle catalog cave cell chain chair champion
    channel
    chapel chapter charger charity chart chef chemist chimney choir cinema circuit circus claim clerk client
    cliff
    clinic clock cloth club coach coast cocktail coin collector colony column comet comic committee compiler
    composer compound concert conductor conference contract convoy cook copy corridor costume cottage council
    counter county courier court cousin crane crate creek crew criminal crop crown cruise crystal curator
    curtain
    cyclist dairy dam dancer dealer debate debt deck deed delegate deposit depot desert designer desk
    detective
    device diamond diary dish district diver dock document dog donation donor door dragon drama drawing
    driver drone
    drug drum duct dwelling dynamo eagle easel editor elder election elevator embassy emblem emperor engine
    engineer
    episode errand escort essay estate examiner exhibit expert explorer export fabric factory fair falcon farm
    farmer feast ferry festival fiddle field fighter figurine filter finalist firm fisher flag fleet flock
    flood
    florist flower flute forest forge fort fossil fountain freight friar fridge fruit fund furnace gadget
    galaxy
    gallery gambler game garage garden garment gate gauge gem general geologist ghost giant glacier glove goat
    grant grape grower guard guide guild guitar gym hall hammer handler hangar harbor harvest hatchery hawk
    helper
    herb herd highway hill hive holder horse hostel hunter hut iceberg idol import incident inlet inmate inn
    insect
    inspector instrument insurer interview inventor island issue jacket janitor jar jeweler jockey journal
    journey
    judge jug juror kennel kettle kiln kingdom kiosk kitchen kite knight lab labor ladder lagoon lake lamp
    landlord
    lane language lantern launch lawyer layer leader league lease lecture ledger legend lender lens letter
    lever
    librarian lift lighthouse line liner loan lobby locker locomotive lodge logo loom lorry lumber machine
    magazine
    magician mailbox mall manor manual map marina market marsh mask mason match mayor meadow meal mechanic
    medal
    merchant mess meteor meter midwife mill mine miner minister mirror mission mixer model module monk
    monument
    mosque motel motor mountain mural museum musician mutant nation neighbor nest network nurse oasis oath
    observatory ocean officer operator opera orchard orchestra organ origin outlet oven owl owner oyster
    paddock
    painter palace panel paper parade parcel parish park parrot partner passenger pasture path patron pavilion
    payroll peak pebble pen pension perfume pharmacy phone photo pianist picnic pier pigeon pilgrim pilot
    pipeline
    pirate pitch planet plant platform play plaza poem poet pond pony pool port portrait post potter prank
    printer
    prison prize probe producer program promoter prop province puppet pyramid quarry queen quest quilt quiz
    rabbit
    racer radar raft ranch ranger recipe record recruit referee refinery refuge relic remedy renter reptile
    rescue
    resort retailer rider rifle ring ritual rival river road robot rocket roof root rope rover ruler runner
    sailor
    salon sample sanctuary satellite scholar scooter scout screen script sculptor sculpture seal sector seed
    seller
    senator sensor sermon servant server session settlement shaft shelf shelter shepherd sheriff shift ship
    shop
    shrine signal singer site skater sketch skier sled sailboat smith soldier solo song spa speaker species
    spell
    spider spice spring squad stable stadium stage stall star statue steamer stone storage storm stream street
    strike studio subway suite summit supervisor surgeon swamp swimmer switch sword symptom syndicate tailor
    talent
    tank tavern tax teacher telescope temple tenant tender tent terminal territory theater theft tiger tile
    timber
    tomb tool torch tournament tower toy trader trail trainer tram trapper traveler treasure treaty tribe
    tribute
    trophy truck trumpet tugboat tunnel turbine tutor twin umbrella umpire uniform union unit valley valve
    van vault
    vehicle vendor venture vessel veteran village villa vineyard violin visa volcano voter voyage wagon
    waiter walker
    wallet warden warrior watch watchman waterfall weapon weaver well whale wheel widow wing witness wolf
    worker
    workshop wreck wrestler writer yacht yard zone zoo
    """
)

RESERVED_ENTITIES = listed("order group index match transaction plan view trigger table union")

MODIFIERS = listed(
    """
    annual average base basic bonus central city coastal cold common credit daily deep digital direct double
    early
    eastern electric energy entry estimated express extra fast field final first foreign former front garden
    gold
    grand gross ground half hand heavy high home hourly indoor inner junior last late legal light local long
    main
    major marine maximum media medium minimum minor mobile modern monthly mountain musical naval net night
    normal
    north office official old open outdoor outer over personal planned power premium primary prime public
    quick
    rated raw regional remote road royal rural sample secondary senior service short silver single small solar
    source special standard state steel summer target team total town trade trial unit upper urban vintage
    water
    weekly western winter wooden work yearly young
    """
)

LABELS = (
    "name",
    "name",
    "name",
    "title",
    "title",
    "label",
    "full name",
    "caption",
    "nickname",
    "display name",
)

CATEGORIES = listed(
    """
    type kind category class status state color shape size grade level rank role genre style theme topic
    subject
    language nationality country city region town county continent district province climate season weather
    material texture fabric metal wood brand maker manufacturer supplier owner sponsor author editor publisher
    director coach captain mentor occupation profession job department faculty division sector branch industry
    position title gender religion diet cuisine flavor ingredient currency payment plan tier format medium
    channel
    platform engine fuel drive gear mode method technique discipline specialty hobby mood result outcome
    verdict
    reason cause purpose priority severity risk quality condition stage phase step format voice instrument
    habitat
    origin breed species family party league conference surface terrain soil rock planet orbit symbol code
    suffix
    prefix shift schedule frequency unit zone wing aisle shelf room hall gate lane dock county street
    """
)

INTEGERS = listed(
    """
    age capacity quantity stock population points score goals wins losses visits seats rooms pages floors
    members
    employees passengers copies downloads views likes votes attempts stops laps rounds games episodes chapters
    credits hours minutes days weeks months speed altitude depth horsepower mileage rank position year level
    count
    doors windows beds tables lanes branches guests orders units calories grams steps errors complaints awards
    medals injuries followers subscribers citations patents shares tickets parcels crates barrels acres trees
    rows bytes pixels cycles strength stamina attendance enrollment headcount
    """
)

REALS = listed(
    """
    price cost fee salary wage bonus budget revenue profit turnover income rent tax discount balance amount
    total
    deposit refund payment fare toll tariff rate rating weight height length width area volume distance
    duration
    temperature pressure humidity density voltage power output yield efficiency latitude longitude elevation
    dose
    concentration purity thickness diameter radius grade gpa average margin interest premium spending donation
    value worth payout commission royalty
    """
)

DATES = (
    "date", "birthday", "deadline", "departure", "arrival", "birth day", "issue day",
    *(
        f"{word} date"
        for word in listed(
            "birth start end due order delivery release expiry visit opening closing arrival departure"
            " purchase sale payment review launch event check signing repair renewal contract return"
        )
    ),
)  # fmt: skip

EVENTS = listed(
    """
    hired founded opened built joined released published signed shipped delivered sold bought created
    registered
    launched started finished painted recorded planted harvested discovered elected promoted inspected
    repaired
    renewed approved cancelled closed received issued posted booked born retired donated licensed acquired
    added
    updated completed established graduated produced
    """
)

FLAGS = listed(
    """
    active insured certified licensed retired available verified heated furnished protected automated organic
    refundable mandatory seasonal imported sealed occupied vaccinated trained married armed haunted discounted
    archived shared covered lit accessible fragile perishable digital married bilingual public private
    """
)

ONSETS = (*listed("b br d dr f g gr h j k kr l m n p r s sk st t tr v w z"), "")
NUCLEI = ("a", "e", "i", "o", "u", "ai", "ea", "ou", "ie")
CODAS = ("", "", "", "l", "n", "r", "s", "m", "k", "th", "nd", "rt", "x")

NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December")  # fmt: skip
