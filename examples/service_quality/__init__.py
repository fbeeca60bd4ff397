"""Three banks compare their customer service: response times, resolution, satisfaction, reasons for complaints.

``python -m examples.service_quality.run`` builds a network as ``examples.credit_risk`` does, on data that ``data``
makes up, and asks one joint question in Python. The answer is about all customers together; beside it each bank
gets its own place in the joint distribution, in a file that stays with it, and nobody gets another bank's figures.
"""
