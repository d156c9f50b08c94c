"""`wheatear doctor`: what is wrong with this device, and what to type.

    finding.py   a line of the report
    system.py    clock, disks, heat, memory, permissions, the service
    sound.py     sound system and the microphones' levels
    program.py   configuration, models, ports, compiled kernels

Every check takes what it looks at as a parameter, so that a test can put a fault there.
"""
