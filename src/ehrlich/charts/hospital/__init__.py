"""A synthetic hospital in MIMIC-IV layout, driven by a textbook of conditions and a hidden course.

Flow: textbook -> arrays -> population -> course -> scene -> records, truth -> files.
"""

from ehrlich.charts.hospital.run import HospitalConfig, plan, run

__all__ = ["HospitalConfig", "plan", "run"]
