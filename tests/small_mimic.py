"""A MIMIC-IV of three patients, made up by hand: every table, small enough to be checked by eye.

1: an ED visit that leads to a hospital stay (10) with ICU, death in hospital; a lab before it.
2: a planned stay (20) with a discharge note; death at home, of which only the day is known.
3: an ED visit that leads nowhere.
"""

# ruff: noqa: E501  (records are not wrapped)
from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

TABLES: dict[str, str] = {
    "hosp/patients": """\
subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod
1,F,60,2150,2014 - 2016,2150-03-05
2,M,91,2160,2014 - 2016,2160-06-30
3,F,20,2155,2017 - 2019,
""",
    "hosp/admissions": """\
subject_id,hadm_id,admittime,dischtime,deathtime,admission_type,admission_location,discharge_location,insurance,language,marital_status,race,edregtime,edouttime,hospital_expire_flag
1,10,2150-03-01 10:00:00,2150-03-05 15:00:00,2150-03-05 14:30:00,EW EMER.,EMERGENCY ROOM,DIED,Medicare,English,WIDOWED,WHITE,2150-03-01 06:00:00,2150-03-01 11:00:00,1
2,20,2160-05-02 07:15:00,2160-05-04 12:00:00,,ELECTIVE,PHYSICIAN REFERRAL,HOME,Other,?,MARRIED,ASIAN,,,0
""",
    "hosp/transfers": """\
subject_id,hadm_id,transfer_id,eventtype,careunit,intime,outtime
1,10,501,ED,Emergency Department,2150-03-01 06:00:00,2150-03-01 11:00:00
1,10,502,admit,Medical Intensive Care Unit (MICU),2150-03-01 11:00:00,2150-03-05 15:00:00
1,10,503,discharge,,2150-03-05 15:00:00,
""",
    "hosp/services": """\
subject_id,hadm_id,transfertime,prev_service,curr_service
1,10,2150-03-01 10:05:00,,MED
2,20,2160-05-02 07:16:00,,SURG
""",
    "hosp/omr": """\
subject_id,chartdate,seq_num,result_name,result_value
2,2160-04-01,1,Weight (Lbs),180.5
2,2160-04-01,1,Blood Pressure,130/80
""",
    "hosp/labevents": """\
labevent_id,subject_id,hadm_id,itemid,charttime,storetime,value,valuenum,valueuom,ref_range_lower,ref_range_upper,flag,priority,comments
901,1,,50912,2150-02-01 08:00:00,2150-02-01 09:30:00,0.9,0.9,mg/dL,0.4,1.1,,ROUTINE,
902,1,10,50912,2150-03-01 07:00:00,2150-03-01 08:10:00,2.4,2.4,mg/dL,0.4,1.1,abnormal,STAT,
903,1,,50813,2150-03-01 07:00:00,2150-03-01 07:12:00,___,,mmol/L,0.5,2,abnormal,STAT,"Hemolyzed, ""slightly""
repeat advised."
904,2,20,59999,2160-05-02 08:00:00,2160-05-02 07:59:00,>200,,mg/dL,,,,,
""",
    "hosp/microbiologyevents": """\
microevent_id,subject_id,hadm_id,chartdate,charttime,storedate,storetime,spec_type_desc,test_name,org_name,ab_name,dilution_text,interpretation,quantity,comments
801,1,10,2150-03-01 00:00:00,2150-03-01 07:30:00,2150-03-03 00:00:00,2150-03-03 09:00:00,BLOOD CULTURE,Blood Culture,ESCHERICHIA COLI,CEFTRIAXONE,<=1,S,,
802,1,10,2150-03-01 00:00:00,,2150-03-02 00:00:00,,URINE,URINE CULTURE,,,,,,
""",
    "hosp/poe": """\
poe_id,subject_id,hadm_id,ordertime,order_type,order_subtype,transaction_type,discontinued_by_poe_id,order_status
1-1,1,10,2150-03-01 09:00:00,Medications,,New,1-3,Inactive
1-2,1,10,2150-03-01 12:00:00,Lab,,New,,Active
1-3,1,10,2150-03-02 09:00:00,Medications,,D/C,,Active
""",
    "hosp/poe_detail": """\
poe_id,poe_seq,subject_id,field_name,field_value
1-2,2,1,Admit to,MICU
1-2,2,1,Code status,Full
""",
    "hosp/prescriptions": """\
subject_id,hadm_id,pharmacy_id,poe_id,starttime,stoptime,drug_type,drug,gsn,ndc,prod_strength,dose_val_rx,dose_unit_rx,route
1,10,71,1-1,2150-03-01 10:00:00,2150-03-02 09:00:00,MAIN,Ceftriaxone,8835,338500341,1g Bag,1,gm,IV
1,10,72,,2150-03-01 13:00:00,,MAIN,Norepinephrine,,0,4mg,4,mg,IV
1,10,73,1-2,2150-03-01 11:00:00,2150-02-28 11:00:00,MAIN,Insulin,,,100U,5,UNIT,SC
""",
    "hosp/pharmacy": """\
subject_id,hadm_id,pharmacy_id,starttime,stoptime,medication,proc_type,status,entertime,route,frequency
1,10,71,2150-03-01 10:00:00,2150-03-02 09:00:00,Ceftriaxone,IV Piggyback,Discontinued,2150-03-01 09:20:00,IV,Q24H
""",
    "hosp/emar": """\
subject_id,hadm_id,emar_id,charttime,medication,event_txt,storetime
1,10,1-5,2150-03-01 10:20:00,Ceftriaxone,Administered,2150-03-01 10:21:00
""",
    "hosp/emar_detail": """\
subject_id,emar_id,dose_given,dose_given_unit,route,product_description
1,1-5,,,,
1,1-5,1,gm,IV,Ceftriaxone Frozen Bag
1,1-5,1,gm,IV,Diluent
""",
    "hosp/diagnoses_icd": """\
subject_id,hadm_id,seq_num,icd_code,icd_version
1,10,1,A419,10
1,10,2,5849,9
2,20,1,K8020,10
""",
    "hosp/procedures_icd": """\
subject_id,hadm_id,seq_num,chartdate,icd_code,icd_version
2,20,1,2160-05-02,0FT44ZZ,10
""",
    "hosp/drgcodes": """\
subject_id,hadm_id,drg_type,drg_code,description,drg_severity,drg_mortality
1,10,APR,720,SEPTICEMIA,4,4
""",
    "hosp/hcpcsevents": """\
subject_id,hadm_id,chartdate,hcpcs_cd,seq_num,short_description
2,20,2160-05-02,99218,1,Hospital observation
""",
    "hosp/d_labitems": """\
itemid,label,fluid,category
50912,Creatinine,Blood,Chemistry
50813,Lactate,Blood,Blood Gas
""",
    "hosp/d_icd_diagnoses": """\
icd_code,icd_version,long_title
A419,10,"Sepsis, unspecified organism"
5849,9,"Acute kidney failure, unspecified"
""",
    "hosp/d_icd_procedures": """\
icd_code,icd_version,long_title
0FT44ZZ,10,"Resection of Gallbladder, Percutaneous Endoscopic Approach"
""",
    "hosp/d_hcpcs": "code,category,long_description,short_description\n99218,,,Hospital observation\n",
    "hosp/provider": "provider_id\nP001\nP002\n",
    "icu/icustays": """\
subject_id,hadm_id,stay_id,first_careunit,last_careunit,intime,outtime,los
1,10,301,Medical Intensive Care Unit (MICU),Medical Intensive Care Unit (MICU),2150-03-01 11:00:00,2150-03-05 14:40:00,4.2
""",
    "icu/chartevents": """\
subject_id,hadm_id,stay_id,charttime,storetime,itemid,value,valuenum,valueuom,warning
1,10,301,2150-03-01 11:15:00,2150-03-01 11:40:00,220045,118,118,bpm,0
1,10,301,2150-03-01 11:15:00,2150-03-01 11:40:00,220048,ST (Sinus Tachycardia),,,0
1,10,301,2150-03-01 12:16:00,2150-03-01 12:20:00,220045,112,112,bpm,0
""",
    "icu/datetimeevents": """\
subject_id,hadm_id,stay_id,charttime,storetime,itemid,value,valueuom,warning
1,10,301,2150-03-01 11:20:00,2150-03-01 11:45:00,224183,2150-03-01 00:00:00,Date,0
""",
    "icu/inputevents": """\
subject_id,hadm_id,stay_id,starttime,endtime,storetime,itemid,amount,amountuom,rate,rateuom,orderid,ordercategoryname,statusdescription
1,10,301,2150-03-01 13:00:00,2150-03-01 17:00:00,2150-03-01 13:05:00,221906,3.2,mg,0.1,mcg/kg/min,41,01-Drips,FinishedRunning
""",
    "icu/ingredientevents": """\
subject_id,hadm_id,stay_id,starttime,endtime,storetime,itemid,amount,amountuom,rate,rateuom,orderid
1,10,301,2150-03-01 13:00:00,2150-03-01 17:00:00,2150-03-01 13:05:00,220490,50,ml,12.5,ml/hour,41
""",
    "icu/outputevents": """\
subject_id,hadm_id,stay_id,charttime,storetime,itemid,value,valueuom
1,10,301,2150-03-01 14:00:00,2150-03-01 14:30:00,226559,30,ml
""",
    "icu/procedureevents": """\
subject_id,hadm_id,stay_id,starttime,endtime,storetime,itemid,value,valueuom,location,locationcategory,orderid,statusdescription
1,10,301,2150-03-01 15:00:00,2150-03-04 15:00:00,2150-03-01 15:10:00,225792,4320,min,,,42,FinishedRunning
""",
    "icu/d_items": """\
itemid,label,abbreviation,linksto
220045,Heart Rate,HR,chartevents
220048,Heart Rhythm,Rhythm,chartevents
221906,Norepinephrine,Norepi,inputevents
226559,Foley,Foley,outputevents
""",
    "icu/caregiver": "caregiver_id\n1\n",
    "ed/edstays": """\
subject_id,hadm_id,stay_id,intime,outtime,gender,race,arrival_transport,disposition
1,10,401,2150-03-01 06:00:00,2150-03-01 11:00:00,F,WHITE,AMBULANCE,ADMITTED
3,,403,2155-07-07 20:00:00,2155-07-07 23:30:00,F,WHITE,WALK IN,HOME
""",
    "ed/triage": """\
subject_id,stay_id,temperature,heartrate,resprate,o2sat,sbp,dbp,pain,acuity,chiefcomplaint
1,401,101.3,122,24,93,84,50,3,1,"Fever, confusion"
3,403,98.1,80,16,99,120,70,7,4,Ankle pain
""",
    "ed/vitalsign": """\
subject_id,stay_id,charttime,temperature,heartrate,resprate,o2sat,sbp,dbp,rhythm,pain
1,401,2150-03-01 06:30:00,101.0,118,22,95,90,55,Sinus Tachycardia,2
""",
    "ed/medrecon": """\
subject_id,stay_id,charttime,name,gsn,ndc,etc_rn,etccode,etcdescription
1,401,2150-03-01 06:20:00,Lisinopril,00002,00093111301,1,5,ACE Inhibitors
""",
    "ed/pyxis": """\
subject_id,stay_id,charttime,med_rn,name,gsn_rn,gsn
1,401,2150-03-01 06:45:00,1,Acetaminophen,1,4489
""",
    "ed/diagnosis": """\
subject_id,stay_id,seq_num,icd_code,icd_version,icd_title
1,401,1,A419,10,SEPSIS
3,403,1,S93409A,10,SPRAIN OF ANKLE
""",
    "note/discharge": """\
note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text
2-DS-1,2,20,DS,1,2160-05-04 00:00:00,2160-05-05 10:00:00,"Name: ___

Discharged home, well."
""",
    "note/discharge_detail": "note_id,subject_id,field_name,field_value,field_ordinal\n2-DS-1,2,author,___,1\n",
    "note/radiology": """\
note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text
1-RR-1,1,10,RR,1,2150-03-01 07:40:00,2150-03-01 08:55:00,"Right lower lobe opacity."
""",
    "note/radiology_detail": """\
note_id,subject_id,field_name,field_value,field_ordinal
1-RR-1,1,exam_name,CHEST (PORTABLE AP),1
1-RR-1,1,exam_code,C11,1
""",
}  # fmt: skip
REFERENCES = ("d_", "provider", "caregiver")
LOOKUPS_OF_SUBJECTS = ("poe_detail", "emar_detail", "radiology_detail")


def rows_of(text: str) -> list[list[str]]:
    """Records of CSV text, header first, as the csv module reads them."""
    return list(csv.reader(io.StringIO(text)))


def changed(**tables: str | None) -> dict[str, str]:
    """TABLES with some replaced, or left out (None); a table by its name alone."""
    places = {place.rpartition("/")[2]: place for place in TABLES}
    found = TABLES | {places[name]: text for name, text in tables.items() if text is not None}
    return {place: text for place, text in found.items() if tables.get(place[place.index("/") + 1 :], "") is not None}  # fmt: skip


def write_mimic(
    root: Path, form: str = "csv.gz", *, flat: bool = False, tables: Mapping[str, str] = TABLES
) -> Path:
    """The tables under `root`: in module folders or in one; as csv.gz, csv or (text) parquet."""
    for place, text in tables.items():
        module, _, name = place.partition("/")
        path = (root if flat else root / module) / f"{name}.{form}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if form == "parquet":
            as_parquet(text).write_parquet(path)
        elif form == "csv.gz":
            path.write_bytes(gzip.compress(text.encode(), 1, mtime=0))
        else:
            path.write_bytes(text.encode())
    return root


def as_parquet(text: str) -> pl.DataFrame:
    """A table with the types that a reader of CSV would guess: integers, floats, times, text."""
    header, *rows = rows_of(text)
    columns: dict[str, Any] = {
        name: [row[place] or None for row in rows] for place, name in enumerate(header)
    }
    return pl.DataFrame(columns, schema=dict.fromkeys(header, pl.String)).with_columns(
        _guessed(name) for name in header
    )


def _guessed(name: str) -> pl.Expr:
    if name in {"subject_id", "hadm_id", "stay_id", "itemid", "seq_num", "icd_version"}:
        return pl.col(name).cast(pl.Int64)
    if name in {"valuenum", "amount", "ref_range_lower", "ref_range_upper"}:
        return pl.col(name).cast(pl.Float64)
    if name.endswith("time"):
        return pl.col(name).str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="ns")
    if name == "dod":
        return pl.col(name).str.to_date("%Y-%m-%d")
    return pl.col(name)


NUMBERED = {"subject_id", "hadm_id", "stay_id"}
NAMED = {"poe_id", "discontinued_by_poe_id", "emar_id", "note_id"}


def many(copies: int) -> dict[str, str]:
    """The three patients again and again, under other ids."""
    tables = {}
    for place, text in TABLES.items():
        header, *rows = rows_of(text)
        sink = io.StringIO()
        writer = csv.writer(sink, lineterminator="\n")
        writer.writerow(header)
        for copy in range(copies if "subject_id" in header else 1):
            for row in rows:
                writer.writerow(
                    _shifted(name, value, copy) for name, value in zip(header, row, strict=True)
                )
        tables[place] = sink.getvalue()
    return tables


def _shifted(name: str, value: str, copy: int) -> str:
    if not value or not copy:
        return value
    if name in NUMBERED:
        return str(int(value) + 1000 * copy)
    return f"{value}-{copy}" if name in NAMED else value
