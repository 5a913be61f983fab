"""Questions and answers in five languages, with names, numbers, statements and more than one sentence."""

from __future__ import annotations

from clues.data.samples import Sample

TEXTS = {
    "en": [
        ("What does the term 'ptosis' mean?", "Ptosis means that the upper eyelid hangs low. It has 3 causes."),
        ("Who discovered penicillin?", "Fleming discovered penicillin in 1928. He was not looking for it."),
        ("How do I boil an egg?", "Put the egg into boiling water for 8 minutes. Don't forget to cool it afterwards."),
    ],
    "de": [
        ("Was bedeutet „Fieber“?", "Fieber ist eine erhöhte Temperatur. Es ist keine Krankheit."),
        ("Wie hoch ist die Zugspitze?", "Die Zugspitze ist 2962 Meter hoch. Sie kann mit der Bahn erreicht werden."),
        ("Wer schrieb den Faust?", "Den Faust hat Goethe geschrieben. Der erste Teil erschien 1808."),
    ],
    "fr": [
        ("Que signifie « asthme » ?", "L'asthme est une maladie des bronches. Elle n'est pas contagieuse."),
        (
            "Quelle est la capitale du Portugal ?",
            "La capitale du Portugal est Lisbonne. Elle compte 550 000 habitants.",
        ),
        ("Comment fonctionne un moteur diesel ?", "Un moteur diesel comprime l'air. Il n'a pas de bougies."),
    ],
    "es": [
        ("¿Qué es la anemia?", "La anemia es la falta de glóbulos rojos. No siempre necesita tratamiento."),
        ("¿Cuántos habitantes tiene Madrid?", "Madrid tiene 3,3 millones de habitantes. Es la ciudad más grande."),
        ("¿Quién pintó el Guernica?", "Picasso pintó el Guernica en 1937. Está en un museo de Madrid."),
    ],
    "zh": [
        ("什么是“高血压”？", "高血压是指动脉血压持续升高。成年人中约有27%患有高血压。"),
        ("长城有多长？", "长城总长约21196公里。它不是一次建成的。"),
        ("光合作用是怎样进行的？", "植物吸收光能，把二氧化碳和水变成糖。光合作用会放出氧气。"),
    ],
}


def sample(identity: str, prompt: str, response: str) -> Sample:
    record = {"id": identity, "prompt": prompt, "response": response}
    return Sample(identity, [{"role": "user", "content": prompt}], response, "d", record, f"f, {identity}")


def multilingual() -> list[Sample]:
    """Their ids begin with the language."""
    return [sample(f"{name} {n}", *pair) for name, pairs in TEXTS.items() for n, pair in enumerate(pairs)]
