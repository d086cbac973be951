from hypothesis import settings

# shared machines stall now and then; how long an example takes is no property of the code
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
