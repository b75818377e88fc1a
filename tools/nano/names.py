"""The words that invented values are made of: people's names and plain categories."""

from __future__ import annotations

from tools.nano.words import listed

FIRST_NAMES = listed(
    """
    Ada Adam Agnes Ahmed Alba Aldo Alec Alma Amir Amos Anders Anita Anton Arlo Asha Astrid Axel Bela Beth
    Boris
    Bruno Carla Carmen Cecil Celia Chloe Clara Cora Cyrus Dalia Damian Dario Delia Dina Dora Edgar Edith
    Elena Eli
    Elsa Emil Enzo Erik Esther Ewa Faye Felix Fiona Flora Frida Gail Gemma Georg Gina Greta Gus Hana Harold
    Hector
    Heidi Helga Henry Hugo Ida Igor Ilse Ines Ingrid Irene Ivan Jana Jasper Joan Joel Jonas Josef Judith
    Jules Karim
    Karl Katya Kenji Kira Klaus Lara Lars Leah Leila Lena Leon Lidia Lino Lola Luca Lucia Luis Lydia Mabel
    Magda
    Malik Manuel Mara Marco Marta Mateo Maud Max Maya Milan Mina Miriam Mona Nadia Naomi Neil Nina Noah Nora
    Olaf
    Olga Omar Orla Oscar Otto Pablo Paula Pedro Petra Pia Priya Rafael Ravi Rita Rosa Ruben Ruth Sally Samir
    Sara
    Selma Sergei Silvia Simon Sofia Sven Tara Tessa Theo Tilda Tomas Ugo Ulla Uma Vera Victor Viola Walter
    Wanda
    Xenia Yara Yusuf Zara Zeno Zoe
    """
)

LAST_NAMES = listed(
    """
    Abbott Acker Adler Aguilar Aksoy Albers Almeida Amato Ashby Bajwa Baker Barlow Becker Bello Berg Bianchi
    Blair
    Bloom Bose Brandt Brooks Calder Campos Carver Castro Chandra Chen Conti Cortez Costa Cruz Dahl Das
    Decker Diaz
    Dixon Doyle Dunn Eaton Eklund Esposito Falk Farah Fischer Flores Fox Frost Fujita Garner Gibbs Goldman
    Gomez
    Grant Grau Haas Hale Hansen Harper Hayes Heller Holm Hughes Ibarra Ito Jansen Jensen Kane Kapoor Keller
    Kim Klein
    Kovac Kraus Kruger Lam Larsen Leone Lind Lopez Lund Maier Marsh Mendez Meyer Mills Moreau Moss Nagy Nair
    Navarro
    Nolan Novak Okafor Olsen Ortiz Osman Page Park Patel Pavlov Penn Perez Pike Pratt Quinn Rao Reed Reyes
    Rossi
    Roth Saito Salas Santos Sato Schmidt Shah Sharp Silva Singh Soto Stein Stone Tan Thorne Torres Vance
    Vega Vogel
    Wagner Walsh Webb Weiss Wolf Wong Yilmaz York Zhang Ziegler
    """
)

VALUES = listed(
    """
    amber ancient apple april arctic ash autumn azure bamboo basil bitter black blue bold brass bright
    bronze brown
    calm cargo cedar central ceramic certified cherry classic clay clear closed coal cobalt coffee cold comedy
    compact copper coral cotton cream crimson critical dark dawn deluxe dense diesel digital dirty dormant
    drama dry
    dusty eastern economy elastic electric elite emerald empty expired express faded failed fantasy fine
    flat folk
    formal fresh frozen full gas gentle ginger glass global golden good granite green grey guest hard hazel
    heavy
    hidden high honey horror hot hybrid idle indigo inner iron ivory jade jazz jungle large lavender leather
    lemon
    light lime linen liquid live local lost loud low lunar magnetic maple marble maroon master metal mild
    mint mixed
    modern narrow navy neutral new night noble northern oak oat olive online open opal orange organic outer
    oval
    paid pale paper partial passed peach pearl pending pepper pine pink plain plastic plum polar poor prime
    purple
    quartz quiet rare raw red regular rejected retired rich river romance rough round ruby rural rusty safe
    saffron
    sage salt sand satin scarlet secret senior severe shallow sharp silk silver simple sky slate slow small
    smooth
    snow soft solar solid southern spare spicy spring square stale standard steel sticky stone storm strong
    student
    sugar summer sunny sweet swift tall teal tender thin timber tiny topaz tropical turquoise urban vacant
    vanilla
    velvet violet vivid walnut warm waxed western wet white wild windy winter wool young zinc
    """
)
