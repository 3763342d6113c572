"""M/M/8 in SimPy 4: `python3 simpy_mm8.py CUSTOMERS SEED` prints the CPU seconds, the customers served and their mean wait in seconds."""

import random
import sys
import time

import simpy

SERVERS, MEAN_SERVICE, UTILISATION = 8, 0.010, 0.8
customers, seed = int(sys.argv[1]), int(sys.argv[2])
luck = random.Random(seed)
environment = simpy.Environment()
station = simpy.Resource(environment, capacity=SERVERS)
waited, served = 0.0, 0


def customer():
    global waited, served
    arrived = environment.now
    with station.request() as worker:
        yield worker
        waited += environment.now - arrived
        yield environment.timeout(luck.expovariate(1.0 / MEAN_SERVICE))
    served += 1


def arrivals():
    for _ in range(customers):
        yield environment.timeout(luck.expovariate(UTILISATION * SERVERS / MEAN_SERVICE))
        environment.process(customer())


environment.process(arrivals())
before = time.process_time()
environment.run()
print(time.process_time() - before, served, waited / served)
