"""First names: the 240 most frequent in the US census of 1990 (public domain), Ana and Bob, and rarer ones.

The tokenizer makes each frequent name one token, so a list costs two tokens a name; rarer names and invented ones
split into several tokens, so that copying is learned as copying and not as a closed vocabulary.
"""

from __future__ import annotations

import random

from dllm.eval.tiny.example import listing

FREQUENT: tuple[str, ...] = listing("""
    James John Robert Michael Mary William David Richard Charles Joseph Thomas Patricia Christopher Linda
    Barbara Daniel Paul Mark Elizabeth Donald George Jennifer Maria Kenneth Susan Steven Edward Margaret Brian
    Dorothy Ronald Anthony Lisa Kevin Nancy Karen Betty Helen Jason Matthew Gary Timothy Sandra Jose Larry
    Jeffrey Donna Frank Carol Ruth Scott Eric Stephen Andrew Sharon Michelle Laura Sarah Kimberly Deborah
    Jessica Raymond Shirley Cynthia Angela Melissa Brenda Amy Jerry Gregory Anna Joshua Rebecca Virginia
    Kathleen Dennis Pamela Martha Debra Amanda Walter Stephanie Willie Patrick Terry Carolyn Christine Peter
    Janet Marie Frances Catherine Harold Douglas Henry Ann Joyce Diane Alice Jean Carl Julie Kelly Arthur
    Heather Teresa Doris Gloria Ryan Joe Evelyn Roger Juan Ashley Jack Albert Cheryl Joan Jonathan Justin
    Katherine Mildred Gerald Keith Samuel Judith Rose Janice Lawrence Ralph Nicole Judy Christina Nicholas Roy
    Kathy Theresa Benjamin Beverly Denise Bruce Brandon Adam Tammy Billy Fred Irene Harry Jane Wayne Lori Louis
    Steve Tracy Jeremy Aaron Andrea Rachel Marilyn Robin Randy Leslie Kathryn Eugene Bobby Carlos Howard Louise
    Sara Anne Jacqueline Wanda Russell Shawn Bonnie Julia Victor Chris Ruby Lois Tina Jamie Phyllis Martin Norma
    Jesse Paula Annie Diana Ernest Shannon Lee Phillip Todd Lillian Emily Peggy Crystal Carmen Craig Kim Connie
    Gladys Alan Rita Dawn Dale Florence Francis Sean Clarence Johnny Edna Philip Tiffany Rosa Tony Earl Jimmy
    Antonio Cindy Luis Bryan Danny Mike Grace Leonard Stanley Nathan Wendy Curtis Manuel Rodney Victoria Edith
    Norman Sherry Josephine Sylvia Allen
    Ana Bob
    """)

_ALPHABETICAL = sorted(FREQUENT)

RARE: tuple[str, ...] = listing("""
    Sheila Lynn Marjorie Marion Vincent Jeff Chad Pauline Kyle Alfred Hazel Debbie Herbert Joel Gail Danielle
    Erin Michele Darlene Lauren Troy Cathy Sally Jackie Erica Audrey Francisco June Marcus Oscar Renee Angel
    Roberta Calvin Tommy Katie Derek Alma Beth Jeanne Jerome Floyd Alvin Terri Greg Derrick Lucy Ella Kristin
    Zachary Natalie Vernon Bessie Shane Hector Ricardo Gene Tamara Johnnie Brent Marcia Minnie Glenda Marc
    Marian Stella Reginald Cecil Vickie Rafael Irma Adrian Mabel Christy Lena Gabriel Bobbie Hilda Jennie Cory
    Harvey Nina Carole Penny Olga Leona Felicia Sonia Lindsey Neil Cody Kristina Julio Rene Lance Jody Sandy
    Allan Katrina Hugh Geneva Armando Faye Isabel Harriet Wallace Brandi Joanna Rosie Eunice Dave Ivan Alberta
    Madeline Genevieve Jodi Maggie Sonya Fannie Melody Virgil Whitney Kirk Sergio Antoinette Kristy Mamie Verna
    Terrence Enrique Juana Bridget Wade Karla Arturo Latoya Nick Vicky Marianne Angelo Jacquelyn Shaun Doug
    Krista Myra Trevor Adrienne Bennie Brooke Robyn Alfonso Jasmine Lyle Muriel Traci Carlton Krystal Neal Leigh
    Taylor Grant Lora Noel Paulette Abraham Kelley Rosemarie Betsy Damon Hope Kelvin Rudolph Cristina Marco
    Robbie Carroll Dominic Garry Gretchen Merle Rochelle Colin Guillermo Jana Benny Jenna Rodolfo Tricia Delia
    Garrett Kate Lila Mandy Salvatore Sophie Elsa Jeannie Josefina Lucia Miranda Sherman Aimee Elisa Leland
    Nettie Tabitha Winifred Addie Bryant Latasha Owen Sherrie Abigail Cara Deloris Ellis Jake Laurence Lupe
    Rebekah Stacie Brittney Dominique Estella Francisca Helene Josie Kerri Lionel Marissa Orville Tracie Aida
    Caleb Christa Erick Goldie Ingrid Lesley Sheldon Wilfred Candy Conrad Darrel Dina Elias Latonya Polly
    Rosetta Tamika Bradford Cornelius Dorothea Helena Lamar Percy Shanna Trudy Darin Kendall Mollie Roman Louie
    Alta Brendan Darrin Edmond Emanuel Emmett Imogene Jocelyn Keisha Paige Susana Demetrius Beatriz Charity
    Emmanuel Gracie Jayne Kirsten Marisa Otto Shana Teddy Ursula Angeline Christi Eldon Frieda Harley Jodie
    Lamont Margret Rodger Shauna Summer Abby Bobbi Chase Damian Dylan Gerry Junior Leanne Luisa Margo Mavis
    Selma Sybil Agustin Barbra Bianca Cornelia Eliza Georgina Jeri Leann Magdalena Monte Quentin Russel Sydney
    Adolfo Bart Brianna Catalina Concepcion Darwin Dona
    """)

_ONSETS = listing("B C D F G H J K L M N P R S T V W Z Br Ch Dr Fr Gr Kr Pl Sh St Th Tr")
_VOWELS = listing("a e i o u a e i o ai ea")
_CODAS = listing("n r l s m k t d x rn ll nd rt")


def invented_name(rng: random.Random) -> str:
    """A pronounceable name of two or three syllables that is in no list."""
    middle = "".join(rng.choice("bdfgklmnprstvz") + rng.choice(_VOWELS) for _ in range(rng.randint(1, 2)))
    return rng.choice(_ONSETS) + rng.choice(_VOWELS) + middle + rng.choice(_CODAS)


def first_name(rng: random.Random, rare: float = 0.0) -> str:
    """A frequent name; with probability ``rare`` a rarer one (a tenth of those invented)."""
    if rng.random() >= rare:
        return rng.choice(FREQUENT)
    return invented_name(rng) if rng.random() < 0.1 else rng.choice(RARE)


def close_list(rng: random.Random, low: int, high: int) -> list[str]:
    """``low``..``high`` different frequent names that stand close together in the alphabet: hard to sort."""
    width = rng.choice((10, 20, 40))
    start = rng.randrange(len(_ALPHABETICAL) - width + 1)
    return rng.sample(_ALPHABETICAL[start : start + width], rng.randint(low, high))


def name_list(rng: random.Random, low: int, high: int, mixed: float) -> list[str]:
    """``low``..``high`` different names; the share ``mixed`` of lists holds rarer ones as well."""
    rare = rng.choice((0.15, 0.3)) if rng.random() < mixed else 0.0
    names: list[str] = []
    size = rng.randint(low, high)
    while len(names) < size:
        name = first_name(rng, rare)
        if name not in names:
            names.append(name)
    return names
