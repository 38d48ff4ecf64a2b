"""Any EHR → one timeline in MEDS parquet."""
